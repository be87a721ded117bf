"""What a TIFF claims, looked at before it is decoded: directories that loop, values and strips that are no part of it.

Of the makers' dialects tifffile reads those of ImageJ, OME and its own; the others have parsers that believe any number.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from perpixel.core.formats import jp2, jpeg, webp
from perpixel.core.source import Source

MAX_DIRECTORIES = 2**14
MAX_SEGMENTS = 2**18
"""Strips and tiles of all pages; each takes some microseconds on top of its pixels."""

_MAX_TILE, _MAX_TEXT = 2**24, 2**24
_SIZES = dict(zip(range(1, 19), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 1, 1, 8, 8, 8), strict=True))  # by type
_SUB_IFDS, _DESCRIPTION, _STK = 330, 270, (33628, 33629, 33630, 33631)
_DIALECTS = (
    "andor avs bif eer epics fei fluoview indica lsm mdgel mediacy metaseries micromanager mmstack mrc ndpi ndtiff nih "
    "nuvu philips pilatus qpi scanimage scn sem sis stk streak svs tvips vista"
).split()
_PLAIN = frozenset((1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013))  # their decoders are told the size
_JPEG, _JP2, _WEBP, _LERC = (6, 7, 33007, 34892), (33003, 33004, 33005, 34712), (34927, 50001), 34887
_OME_NUMBER = re.compile(r"(?:Size[CTZ]|PlaneCount|NumPlanes|First[CTZ]|IFD)=[\"'](\d+)")


@dataclass(frozen=True)
class Directories:
    """count, how many there are; loops, whether some are met twice; description, the text of the first."""

    count: int
    loops: bool
    description: str


def directories(source: Source) -> Directories:
    """Walks all directories of a TIFF, each once.

    Raises:
        UserError: more than `MAX_DIRECTORIES`, values that overlap many times, or a MetaMorph stack.
    """
    with open(source.path, "rb") as file:
        order = "<" if source.head[:2] == b"II" else ">"
        big = source.head[2:4] in (b"+\0", b"\0+")
        waiting = [struct.unpack_from(f"{order}{'Q' if big else 'I'}", source.head, 8 if big else 4)[0]]
        seen: set[int] = set()
        loops, values, description = False, 0, ""
        while waiting:
            offset = waiting.pop()
            if offset in seen:
                loops = True
                continue
            seen.add(offset)
            following, claimed, text = _directory(file, offset, order, big, source)
            values, waiting, description = values + claimed, waiting + following, description or text
            if len(seen) + len(waiting) > MAX_DIRECTORIES:
                raise source.fault(f"more than {MAX_DIRECTORIES} pages; save it as fewer, or as planes of one page")
            if values > 2 * source.length + 2**20:
                raise source.fault("its tags claim more bytes than the file has; save it again")
    return Directories(len(seen), loops, description)


def dialects(description: str) -> dict[str, Any]:
    """What to tell tifffile of the dialects that it shall not see."""
    import tifffile

    off = {f"is_{name}": False for name in _DIALECTS if name in tifffile.TIFF.FILE_FLAGS}
    numbers = [int(n[:12]) for n in _OME_NUMBER.findall(description)]
    doubtful = len(description) == _MAX_TEXT or any(word in description for word in ("<!DOCTYPE", "<!ENTITY", "Along"))
    return off | ({"is_ome": False} if doubtful or max(numbers, default=0) > MAX_DIRECTORIES else {})


def check_series(source: Source, series: Any) -> None:
    """Refuses a series of pages (tifffile's) that is larger than the file can hold, or cut into too many pieces.

    Raises:
        UserError: it claims too much; ValueError: its pieces lie outside of the file.
    """
    page = series.keyframe
    height, width = page.imagelength, page.imagewidth
    if not height or not width or page.dtype is None:
        raise ValueError("its numbers are of a kind that is unknown")
    source.check(height, width, max(1, series.size // (height * width)), page.dtype.itemsize)
    pages = [p for p in series.pages if p is not None] if len(series.pages) > 1 else [page]
    pieces = sum(len(p.dataoffsets) for p in pages)
    if pieces > MAX_SEGMENTS:
        raise source.fault(f"{pieces} strips or tiles; save it again with larger ones")
    if page.is_tiled and page.tilewidth * page.tilelength > max(_MAX_TILE, 4 * height * width):
        raise source.fault(f"tiles of {page.tilewidth}x{page.tilelength} pixels; save it again with smaller ones")
    packed = sum(min(count, source.length) for p in pages for count in p.databytecounts)
    if packed > 2 * max(source.length, series.size * page.dtype.itemsize):
        raise source.fault("its strips or tiles overlap; save it again")
    if page.compression == 1 and page.is_contiguous and _end(pages, series) > source.length:
        raise ValueError("the file ends before the picture does")
    if page.compression not in _PLAIN:
        _check_pieces(source, page, pages)


def _directory(file: BinaryIO, offset: int, order: str, big: bool, source: Source) -> tuple[list[int], int, str]:
    """(the directories that follow, the bytes of its values elsewhere in the file, its description)."""
    number, entry, inline, word = (8, 20, 8, "Q") if big else (2, 12, 4, "I")
    file.seek(min(offset, source.length))
    counted = file.read(number)
    if len(counted) < number:
        return [], 0, ""
    (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", counted)
    table = file.read(entry * min(count, 4096))
    following, claimed, description = [], 0, ""
    for tag, kind, many, place in struct.iter_unpack(f"{order}HH{word}{word}", table[: len(table) // entry * entry]):
        if tag in _STK:
            raise source.fault("a MetaMorph stack cannot be read; save it as TIFF")
        length = many * _SIZES.get(kind, 1)
        if length > inline and place + length <= source.length:
            claimed += length
            if tag == _DESCRIPTION and not description:
                file.seek(place)
                description = file.read(min(length, _MAX_TEXT)).decode("latin-1")
        if tag == _SUB_IFDS:
            following += _offsets(file, kind, many, place, order, length > inline)
    file.seek(offset + number + entry * min(count, 4096))
    last = file.read(inline)
    following += [struct.unpack(order + word, last)[0]] if len(last) == inline else []
    return [o for o in following if 0 < o < source.length], claimed, description


def _offsets(file: BinaryIO, kind: int, many: int, place: int, order: str, elsewhere: bool) -> list[int]:
    """The values of a SubIFDs tag, at most so many that the next check refuses them."""
    if not elsewhere:
        return [place]
    file.seek(place)
    word = "Q" if _SIZES.get(kind) == 8 else "I"
    data = file.read(min(many, MAX_DIRECTORIES + 1) * struct.calcsize(word))
    return [o for (o,) in struct.iter_unpack(order + word, data[: len(data) // 8 * 8])]


def _end(pages: Sequence[Any], series: Any) -> int:
    """Where the last byte of uncompressed pages lies; a series of one page may go on behind that page."""
    page = series.keyframe
    rows = page.nbytes if len(pages) > 1 else series.size * page.dtype.itemsize
    rows = rows * page.bitspersample // 8 // page.dtype.itemsize if isinstance(page.bitspersample, int) else 0
    return max((int(p.dataoffsets[0]) + rows for p in pages if p.dataoffsets), default=0)


def _check_pieces(source: Source, page: Any, pages: Sequence[Any]) -> None:
    """Refuses pieces that are pictures of their own and say that they are larger than the strip or tile."""
    name = getattr(page.compression, "name", page.compression)
    if page.compression not in (*_JPEG, *_JP2, *_WEBP, _LERC):
        raise source.fault(f"TIFF compression {name} cannot be read; save it with LZW or deflate")
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    room = 2 * max(height, 1) * max(width, 1) + 2**16
    for data in _pieces(source, pages):
        rows, columns = _size_inside(source, page.compression, data)
        if rows * columns > room:
            raise source.fault(f"a {name} strip or tile claims {columns}x{rows} pixels; save it again")


def _pieces(source: Source, pages: Sequence[Any]) -> Iterator[bytes]:
    with open(source.path, "rb") as file:
        for page in pages:
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
                if offset and count:
                    file.seek(min(offset, source.length))
                    yield file.read(min(count, source.length))


def _size_inside(source: Source, compression: int, data: bytes) -> tuple[int, int]:
    """(rows, columns) that a piece says it has. Raises ValueError or struct.error where it says nothing."""
    if compression in _JPEG:
        frame = jpeg.walk(data, whole=False)
        jpeg.check_work(source, frame)
        return frame.height, frame.width
    if compression in _JP2:
        stream = jp2.stream_of(data)
        jp2.check_stream(source, stream, len(data))
        return stream.height, stream.width
    if compression in _WEBP:
        return webp.frame_size(data)
    if data[:6] != b"Lerc2 ":
        raise ValueError("its LERC is of an unknown kind")
    (version,) = struct.unpack_from("<i", data, 6)
    rows, columns, depth = struct.unpack_from("<3i", data, 10 + (4 if version > 2 else 0))
    return rows, columns * (max(1, depth) if version > 3 else 1)
