"""GIF: the first picture, by palette index."""

import struct
from dataclasses import replace
from typing import BinaryIO

from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

_MAX_BLOCKS, _MAX_COUNTED = 2**16, 2**20


def header(source: Source) -> Header:
    """The size of the screen, or of the first picture where that is larger."""
    with open(source.path, "rb") as file:
        height, width = _size(file)
    source.check(height, width)
    return Header(height, width)


def read(source: Source, as_mask: bool) -> Pixels:
    """(H, W) indices with their palette, or (H, W) grey where the palette is a grey ramp."""
    header(source)
    with open_pillow(source, "gif") as image:
        pixels = from_pillow(image, as_mask)
    with open(source.path, "rb") as file:
        _size(file)
        return replace(pixels, more=_pictures(file))


def _size(file: BinaryIO) -> tuple[int, int]:
    """(height, width), found before Pillow sees the file: it makes room for a picture while it opens it."""
    width, height, flags = struct.unpack("<HHB", file.read(11)[6:])
    file.seek(13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    for _ in range(_MAX_BLOCKS):
        kind = file.read(1)
        if kind == b",":
            left, top, columns, rows = struct.unpack("<4H", file.read(8))
            return max(height, top + rows), max(width, left + columns)
        if kind == b"!":
            file.seek(1, 1)
            _skip_blocks(file)
        elif kind in (b"", b";"):
            break
    raise ValueError("there is no picture in it")


def _pictures(file: BinaryIO) -> int:
    """How many further pictures there are, from behind the first one's place and size; of very many blocks, in the first ones."""
    found, left = 0, _MAX_COUNTED
    flags = (file.read(1) or b"\0")[0]
    while left > 0:
        file.seek((3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1, 1)  # its colours, and the size of its codes
        left = _skipped(file, left)
        while (kind := file.read(1)) == b"!":
            file.seek(1, 1)
            left = _skipped(file, left)
        if kind != b",":
            break
        flags = file.read(9).ljust(9, b"\0")[8]
        found += 1
    return found


def _skipped(file: BinaryIO, left: int) -> int:
    """How many of `left` blocks may still be passed over, once those up to the next end of data are."""
    while left > 0:
        left -= 1
        length = file.read(1)
        if length in (b"", b"\0"):
            break
        file.seek(length[0], 1)
    return left


def _skip_blocks(file: BinaryIO) -> None:
    for _ in range(_MAX_BLOCKS):
        length = file.read(1)
        if length in (b"", b"\0"):
            return
        file.seek(length[0], 1)
    raise ValueError(f"a comment of more than {_MAX_BLOCKS} blocks")
