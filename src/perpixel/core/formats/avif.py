"""AVIF: 8-bit RGB by Pillow (11.3 or later)."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from perpixel.core.orientation import upright
from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

MAX_PIXELS = 2**26
"""The decoder holds four copies of the picture."""


def header(source: Source) -> Header:
    """Size and orientation; the boxes are read, the picture is not decoded."""
    with _open(source) as image:
        return _header(image)


def read(source: Source, as_mask: bool) -> Pixels:
    """RGB, or RGB with alpha."""
    with _open(source) as image:
        orientation = _header(image).orientation
        pixels, more = from_pillow(image, as_mask), int(getattr(image, "n_frames", 1)) - 1
    return Pixels(upright(pixels.values, orientation), alpha=pixels.alpha, more=more)


@contextmanager
def _open(source: Source) -> Iterator[Image.Image]:
    if "AVIF" not in Image.ID:
        Image.init()
    if "AVIF" not in Image.ID:
        raise source.fault("AVIF needs Pillow 11.3 or later; save it as PNG")
    with open_pillow(source, "avif") as image:
        source.check(image.height, image.width, 3)
        if image.height * image.width > MAX_PIXELS:
            raise source.fault(
                f"an AVIF of {image.width}x{image.height} pixels, more than {MAX_PIXELS}; save it as PNG"
            )
        yield image


def _header(image: Image.Image) -> Header:
    value = image.getexif().get(0x0112, 1)
    return Header(image.height, image.width, value if value in range(1, 9) else 1)
