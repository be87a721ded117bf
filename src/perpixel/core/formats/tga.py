"""TGA, which has no signature: it is tried only where the file's ending says so."""

import struct

from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source


def header(source: Source) -> Header:
    """Size, by the header alone."""
    if len(source.head) < 18:
        raise ValueError("the file ends inside of its header")
    width, height = struct.unpack_from("<HH", source.head, 12)
    source.check(height, width, 3)
    return Header(height, width)


def read(source: Source, as_mask: bool) -> Pixels:
    """8-bit grey or RGB, or indices with their palette; Pillow turns it upright."""
    header(source)
    with open_pillow(source, "tga") as image:
        return from_pillow(image, as_mask)
