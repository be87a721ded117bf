"""JPEG 2000: its header says how many tiles, code blocks and packets the decoder makes room for, so it is read first.

Source of the markers: ITU-T T.800, annex A.
"""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

MAX_PIXELS = 2**27
"""The decoder takes longer than others for each pixel."""

MAX_SAMPLES = 2**27
"""Numbers of one tile, each of which takes 4 bytes while it is decoded."""

_MAX_TILES, _MAX_BLOCKS, _MAX_PRECINCTS, _MAX_BOXES = 2**16, 2**20, 2**18, 2**10
_SIZ, _COD, _COC, _SOT, _SOD = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93


@dataclass(frozen=True)
class Stream:
    """What SIZ says, and the worst of what COD and COC say: the most layers and levels, the smallest blocks, in powers of 2."""

    height: int
    width: int
    tile: tuple[int, int]
    tiles: int
    channels: int
    bits: int
    layers: int
    levels: int
    block: int
    precinct: tuple[int, int]

    def precincts(self) -> int:
        """How many precincts there are in all; of each layer, each has a packet, which takes a byte of the file or more."""
        each = 0
        for level in range(self.levels + 1):
            rows, columns = (max(1, -(-side >> level)) for side in self.tile)
            each += (-(-rows >> self.precinct[0])) * (-(-columns >> self.precinct[1]))
        return self.tiles * self.channels * each

    def blocks(self) -> int:
        """How many code blocks there are in all."""
        return (self.tiles * self.channels * self.tile[0] * self.tile[1]) >> min(self.block, sum(self.precinct))


@dataclass(frozen=True)
class _Boxes:
    start: int
    about: bytes


def header(source: Source) -> Header:
    """Size, by the header alone."""
    stream = _checked(source)[1]
    return Header(stream.height, stream.width)


def read(source: Source, as_mask: bool) -> Pixels:
    """Every bit as stored. Pillow goes tile by tile, but knows 8 bits of up to 4 channels only."""
    boxes, stream = _checked(source)
    by_pillow = stream.bits == 8 and stream.channels <= 4
    together = stream.tile[0] * stream.tile[1] if by_pillow else stream.height * stream.width
    if together * stream.channels > MAX_SAMPLES:
        raise source.fault(f"a JPEG 2000 of {stream.width}x{stream.height} pixels in one piece; save it as TIFF")
    if by_pillow:
        with open_pillow(source, "jp2") as image:
            if (image.height, image.width) != (stream.height, stream.width):
                raise ValueError("its header and its picture differ in size")
            pixels = from_pillow(image, as_mask=True)
        values, palette, top = pixels.values, pixels.palette, pixels.top
    else:
        import imagecodecs

        values, palette = imagecodecs.jpeg2k_decode(source.read(source.length)), None
        top = 2**stream.bits - 1 if stream.bits < 8 else 0
    tagged = values.ndim == 3 and (values.shape[2] == 4 or (values.shape[2] == 2 and b"cdef" in boxes.about))
    return Pixels(values, palette, top, alpha="straight" if tagged else "", raster=True)


def check_stream(source: Source, stream: Stream, length: int) -> None:
    """Refuses what would make the decoder ask for memory that `length` bytes of file do not justify."""
    if stream.tiles * stream.channels > _MAX_TILES or stream.blocks() > _MAX_BLOCKS:
        raise source.fault(f"{stream.tiles} tiles, {stream.blocks()} code blocks; save it again with larger ones")
    precincts = stream.precincts()
    if precincts > _MAX_PRECINCTS or precincts * stream.layers > length:
        raise source.fault(
            f"{precincts} precincts of {stream.layers} layers in {length} bytes; save it again with fewer"
        )


def stream_of(data: bytes) -> Stream:
    """What the header of a picture in memory says. Raises ValueError where it is broken."""
    file = io.BytesIO(data)
    return _read_stream(file, _boxes(file).start)


def _read_stream(file: BinaryIO, start: int) -> Stream:
    """The header of a code stream and of all its tiles."""
    file.seek(start + 2)
    siz, cods = b"", []
    for _ in range(_MAX_TILES):
        part = file.read(4)
        if len(part) < 4:
            break
        marker, length = struct.unpack(">HH", part)
        if marker == _SOD or not marker > 0xFF00 or length < 2:
            break
        place, body = file.tell() - 4, file.read(min(length - 2, 2**16))
        if marker == _SIZ and not siz:
            siz = body
        elif marker in (_COD, _COC):
            cods.append((marker, body))
        elif marker == _SOT:
            inside, size = place + 4 + len(body), int.from_bytes(body[2:6], "big")
            cods += _tile_cods(file, inside)
            if size < 12:  # to the end of the file
                break
            file.seek(place + size)
    if len(siz) < 36 or not cods:
        raise ValueError("its header is broken")
    return _stream(siz, cods)


def _checked(source: Source) -> tuple[_Boxes, Stream]:
    with open(source.path, "rb") as file:
        boxes = _boxes(file)
        stream = _read_stream(file, boxes.start)
    source.check(stream.height, stream.width, stream.channels, 1 if stream.bits <= 8 else 2)
    if stream.height * stream.width > MAX_PIXELS:
        raise source.fault(
            f"a JPEG 2000 of {stream.width}x{stream.height} pixels, more than {MAX_PIXELS}; save it as TIFF"
        )
    check_stream(source, stream, source.length)
    return boxes, stream


def _boxes(file: BinaryIO) -> _Boxes:
    """Where the code stream begins, and the header box."""
    if file.read(2) == b"\xff\x4f":
        return _Boxes(0, b"")
    file.seek(0)
    about = b""
    for _ in range(_MAX_BOXES):
        place, part = file.tell(), file.read(16)
        if len(part) < 8:
            break
        length, kind = struct.unpack_from(">I4s", part)
        begin = 16 if length == 1 else 8
        if length == 1:
            length = int.from_bytes(part[8:16], "big")
        if kind == b"jp2c":
            return _Boxes(place + begin, about)
        if length < begin:
            break
        file.seek(place + begin)
        if kind == b"jp2h":
            about = file.read(min(length - begin, 2**20))
        file.seek(place + length)
    raise ValueError("there is no picture in it")


def _tile_cods(file: BinaryIO, start: int) -> list[tuple[int, bytes]]:
    """COD and COC in the header of a tile, up to its SOD."""
    file.seek(start)
    found = []
    for _ in range(2**10):
        part = file.read(4)
        if len(part) < 4 or part[:2] == b"\xff\x93":
            break
        marker, length = struct.unpack(">HH", part)
        body = file.read(max(0, length - 2))
        if marker in (_COD, _COC):
            found.append((marker, body))
    return found


def _stream(siz: bytes, cods: list[tuple[int, bytes]]) -> Stream:
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, channels = struct.unpack_from(
        ">8IH", siz, 2
    )
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0 or not tile_width or not tile_height or len(siz) < 36 + 3 * channels or not channels:
        raise ValueError("its SIZ is broken")
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    tile = min(tile_height, height), min(tile_width, width)
    bits = max(b & 0x7F for b in siz[36 : 36 + 3 * channels : 3]) + 1
    layers = max(int.from_bytes(body[2:4], "big") for marker, body in cods if marker == _COD)
    details = [_detail(marker, body, 1 if channels < 257 else 2) for marker, body in cods]
    levels = max(d[0] for d in details)
    precinct = min(d[2] for d in details), min(d[3] for d in details)
    return Stream(height, width, tile, tiles, channels, bits, layers, levels, min(d[1] for d in details), precinct)


def _detail(marker: int, body: bytes, wide: int) -> tuple[int, int, int, int]:
    """(levels, block, precinct rows, precinct columns) of a COD or COC; the last three are powers of 2."""
    own = body[0] & 1 if marker == _COD else body[wide] & 1
    rest = body[5:] if marker == _COD else body[wide + 1 :]
    levels, block = rest[0], (rest[1] & 15) + 2 + (rest[2] & 15) + 2
    sizes = rest[5 : 6 + levels] if own else b"\xff"
    return levels, block, min(b >> 4 for b in sizes), min(b & 15 for b in sizes)
