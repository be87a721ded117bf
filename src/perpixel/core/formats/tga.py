"""TGA, which has no signature: it is tried only where the file's ending says so."""

import struct

from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

_KINDS, _DEPTHS = (1, 2, 3, 9, 10, 11), (1, 8, 15, 16, 24, 32)


def header(source: Source) -> Header:
    """Size, by the header alone."""
    if len(source.head) < 18:
        raise ValueError("the file ends inside of its header")
    colour_map, kind = source.head[1:3]
    width, height, depth = struct.unpack_from("<HHB", source.head, 12)
    if colour_map > 1 or kind not in _KINDS or depth not in _DEPTHS:
        raise ValueError("its header is broken")
    source.check(height, width, 3)
    return Header(height, width)


def read(source: Source, as_mask: bool) -> Pixels:
    """8-bit grey or RGB, or indices with their palette; Pillow turns it upright."""
    header(source)
    with open_pillow(source, "tga") as image:
        return from_pillow(image, as_mask)
