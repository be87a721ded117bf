"""Hostile TIFFs for readers.py: directories, strips, codecs and dialects that claim more than they hold."""

import io
import json
import struct
from collections.abc import Callable, Sequence

import imagecodecs
import numpy as np
import tifffile

LARGE = 16000
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 12: 8}
Tag = tuple[int, int, int, int]


def directory(tags: Sequence[Tag], following: int = 0) -> bytes:
    """An IFD of (code, type, count, value or place)."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def tags(
    width: int, height: int, compression: int = 1, samples: int = 1, photometric: int = 1, **other: int
) -> list[Tag]:
    bits = other.get("bits", 8)
    found = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression)]
    found += [(262, 3, 1, photometric), (277, 3, 1, samples), (278, 4, 1, other.get("rows", height))]
    return found


def one(data: bytes, found: list[Tag]) -> bytes:
    """A file of one strip."""
    found = [*found, (273, 4, 1, 8), (279, 4, 1, len(data))]
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory(found)


def described(text: bytes, pages: int = 1) -> bytes:
    """A small page with a description."""
    data = bytes(64)
    found = [*tags(8, 8), (273, 4, 1, 8), (279, 4, 1, 64), (270, 2, len(text), 72)]
    return struct.pack("<2sHI", b"II", 42, 72 + len(text)) + data + text + directory(found)


def flat(compression: str, size: int = LARGE, rowsperstrip: int | None = None) -> bytes:
    out = io.BytesIO()
    black = np.zeros((size, size, 3), np.uint8)
    tifffile.imwrite(
        out, black, photometric="rgb", compression=compression, rowsperstrip=rowsperstrip or size, metadata=None
    )
    return out.getvalue()


def chain(count: int, loop_to: int | None = None) -> bytes:
    """Many pages that share one strip; the last may lead back."""
    entry = [*tags(8, 8), (273, 4, 1, 8), (279, 4, 1, 64)]
    length = len(directory(entry))
    places = [72 + i * length for i in range(count)]
    following = [*places[1:], 0 if loop_to is None else places[loop_to]]
    return struct.pack("<2sHI", b"II", 42, 72) + bytes(64) + b"".join(directory(entry, f) for f in following)


def many_strips(count: int) -> bytes:
    """One row a strip, all at the same place."""
    table = struct.pack(f"<{count}I", *([8] * count)) + struct.pack(f"<{count}H", *([8] * count))
    found = [*tags(8, count, rows=1), (273, 4, count, 16), (279, 3, count, 16 + 4 * count)]
    return struct.pack("<2sHI", b"II", 42, 16 + len(table)) + bytes(8) + table + directory(found)


def overlapping_values(count: int, length: int) -> bytes:
    """Many descriptions, each all of the file."""
    found = [*tags(8, 8), (273, 4, 1, 8), (279, 4, 1, 64), *[(270, 2, length, 8)] * count]
    return struct.pack("<2sHI", b"II", 42, 8 + length) + bytes(length) + directory(found)


def nested(levels: int, each: int) -> bytes:
    """SubIFDs that all lead to the same next level, of a file in tifffile's dialect."""
    text = json.dumps({"shape": [8, 8]}).encode() + b"\0"
    start, parts = 72 + len(text), []
    entry = [*tags(8, 8), (273, 4, 1, 8), (279, 4, 1, 64), (270, 2, len(text), 72)]
    length = len(directory([*entry, (330, 4, each, 0)])) + 4 * each
    for level in range(levels):
        place = start + level * length
        last = level == levels - 1
        table = directory([*entry, (330, 4, each, place + length - 4 * each)] if not last else entry)
        parts.append((table + struct.pack(f"<{each}I", *([place + length] * each))).ljust(length, b"\0"))
    return struct.pack("<2sHI", b"II", 42, start) + bytes(64) + text + b"".join(parts)


def jpeg_strip() -> bytes:
    data = imagecodecs.jpeg8_encode(np.zeros((64, 64), np.uint8))
    return one(data.replace(b"\x00\x40\x00\x40", b"\xff\xdc\xff\xdc", 1).removesuffix(b"\xff\xd9"), tags(64, 64, 7))


def lerc_strip() -> bytes:
    data = imagecodecs.lerc_encode(np.zeros((12000, 12000), np.uint8))
    return one(bytes(data), tags(64, 64, 34887))


OME = (
    b'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    b'ID="P" DimensionOrder="XYCZT" Type="uint8" SizeX="8" SizeY="8" SizeC="1" SizeZ="1" SizeT="1">'
    b'<Channel ID="C" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="%d"/></Pixels></Image></OME>\0'
)
LAUGHS = b'<!DOCTYPE o [<!ENTITY a "%s">%s]><OME>&j;</OME>\0' % (
    b"ha" * 5000,
    b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)),
)

TIFFS: dict[str, Callable[[], bytes]] = {
    "flat-deflate.tif": lambda: flat("zlib"),
    "flat-deflate-rows.tif": lambda: flat("zlib", rowsperstrip=1),
    "flat-lzw.tif": lambda: flat("lzw"),
    "flat-lzma.tif": lambda: flat("lzma") + bytes(2**20),
    "flat-zstd.tif": lambda: flat("zstd") + bytes(2**20),
    "flat-packbits.tif": lambda: one(b"\x81\0" * (LARGE * LARGE * 3 // 128), tags(LARGE, LARGE, 32773, 3, 2)),
    "bomb-deflate.tif": lambda: one(imagecodecs.zlib_encode(bytes(2**30), 9), tags(16, 16, 8)),
    "bomb-lzma.tif": lambda: one(imagecodecs.lzma_encode(bytes(2**28), 1), tags(16, 16, 34925)),
    "bomb-zstd.tif": lambda: one(imagecodecs.zstd_encode(bytes(2**30), 1), tags(16, 16, 50000)),
    "bomb-jpeg.tif": jpeg_strip,
    "bomb-webp.tif": lambda: one(
        bytes(imagecodecs.webp_encode(np.zeros((LARGE, LARGE, 3), np.uint8), lossless=True, method=0)),
        tags(64, 64, 50001, 3, 2),
    ),
    "bomb-jpeg2000.tif": lambda: one(
        bytes(imagecodecs.jpeg2k_encode(np.zeros((8000, 8000), np.uint8))), tags(64, 64, 34712)
    ),
    "bomb-lerc.tif": lerc_strip,
    "claims.tif": lambda: one(bytes(64), tags(70000, 70000)),
    "claims-raw.tif": lambda: one(bytes(2**20), tags(LARGE, LARGE)),
    "samples.tif": lambda: one(bytes(64), tags(4000, 4000, 8, 65535)),
    "loop-of-1.tif": lambda: chain(1, 0),
    "loop-of-150.tif": lambda: chain(150, 0),
    "pages-16384.tif": lambda: chain(16384),
    "pages-16385.tif": lambda: chain(16385),
    "strips-100000.tif": lambda: many_strips(100_000),
    "strips-1000000.tif": lambda: many_strips(1_000_000),
    "values.tif": lambda: overlapping_values(4000, 2**24),
    "nested.tif": lambda: nested(8, 10),
    "tile.tif": lambda: one(bytes(64), [*tags(8, 8, 8), (322, 4, 1, 2**20), (323, 4, 1, 2**20)]),
    "ome.tif": lambda: described(OME % 10**9),
    "laughs.tif": lambda: described(LAUGHS),
    "imagej.tif": lambda: described(b"ImageJ=1.53\nimages=1000000000\nframes=1000000000\nslices=1\nchannels=1\n\0"),
    "shaped.tif": lambda: described(json.dumps({"shape": [10**9, 8, 8], "truncated": True}).encode() + b"\0"),
}
