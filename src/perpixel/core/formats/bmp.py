"""BMP."""

import struct

from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

_RLE = (1, 2)
_MAX_RLE = 2**23  # pixels, and bytes twice as many; Pillow unpacks run lengths one by one in Python


def header(source: Source) -> Header:
    """Size, by the header alone."""
    if len(source.head) < 34:
        raise ValueError("the file ends inside of its header")
    if source.head[14] == 12:
        width, height = struct.unpack_from("<HH", source.head, 18)
        packing = 0
    else:
        width, height = struct.unpack_from("<ii", source.head, 18)
        (packing,) = struct.unpack_from("<I", source.head, 30)
    height, width = abs(height), abs(width)
    source.check(height, width, 3)
    if packing in _RLE and (height * width > _MAX_RLE or source.length > 2 * _MAX_RLE):
        raise source.fault(f"a run-length BMP of {width}x{height} pixels; save it again as PNG")
    return Header(height, width)


def read(source: Source, as_mask: bool) -> Pixels:
    """8-bit grey or RGB, or indices with their palette; 1 bit is 0 and 1."""
    header(source)
    with open_pillow(source, "bmp") as image:
        return from_pillow(image, as_mask)
