"""The one place where Pillow opens a file, and how its pictures become arrays.

Pillow tries every format it knows on every file, and hands PostScript to Ghostscript, which runs it as a program. Here
it is told the one format that the file's first bytes say, so that no reader starts a process.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from perpixel.core.pixels import Array, Pixels
from perpixel.core.source import Source

MAX_PIXELS = 2**27
"""Of colours; Pillow holds 4 bytes for each pixel beside the array that is made of them."""

_NAMES = {
    "avif": "AVIF",
    "bmp": "BMP",
    "gif": "GIF",
    "jp2": "JPEG2000",
    "jpeg": "JPEG",
    "png": "PNG",
    "tga": "TGA",
    "webp": "WEBP",
}
_NARROW = ("1", "L", "P", "I;16", "I;16B")  # modes of 1 or 2 bytes
_LIMIT = threading.Lock()
_BAND = 2**22  # pixels turned into an array at a time

warnings.filterwarnings("ignore", module=r"PIL\.")  # what a user must know of a file is an error or a line of ours


@contextmanager
def open_pillow(source: Source, name: str, data: bytes | None = None) -> Iterator[Image.Image]:
    """A file (or `data`, bytes of it) as a Pillow image of the format that `format_of` named, not decoded yet.

    Its size must have been checked. Raises UserError where Pillow's 4 bytes for each pixel would be too many.
    """
    with open(source.path, "rb") if data is None else io.BytesIO(data) as file, _opened(file, name) as image:
        if image.height * image.width > MAX_PIXELS and image.mode not in _NARROW:
            size = f"{image.width}x{image.height}"
            raise source.fault(f"{_NAMES[name]} of {size} pixels, more than {MAX_PIXELS}; save it as TIFF")
        yield image


def _opened(file: BinaryIO, name: str) -> Image.Image:
    with _LIMIT:  # Pillow's limit of pixels belongs to the process, and readers run in threads
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=[_NAMES[name]])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def from_pillow(image: Image.Image, as_mask: bool) -> Pixels:
    """A Pillow image as it is stored, not turned; CMYK and the like become RGB, an image's alpha is dropped."""
    if image.mode in ("P", "PA"):
        colours = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        indices = _array(image)
        return Pixels(indices if indices.ndim == 2 else indices[..., 0], colours)
    if image.mode == "1":
        return Pixels(_array(image).astype(np.uint8), top=1)
    if image.mode in ("LA", "La"):
        return Pixels(_array(image), alpha="straight")
    if image.mode == "RGBA" and as_mask:
        return Pixels(_array(image), alpha="straight")
    if image.mode.startswith("I;16"):
        return Pixels(_array(image).astype(np.uint16, copy=False))
    if image.mode == "I":
        return Pixels(_narrow(_array(image)))
    return Pixels(_array(image, None if image.mode in ("L", "RGB", "F") else "RGB"))


def _array(image: Image.Image, mode: str | None = None) -> Array:
    """All pixels, converted to `mode`, a band of rows at a time: at once, Pillow would copy all of them twice more."""
    rows = max(1, _BAND // max(1, image.width))
    result: Any = None
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        band = np.asarray(image.crop(box).convert(mode) if mode else image.crop(box))
        if result is None:
            result = np.empty((image.height, *band.shape[1:]), band.dtype)
        result[top : top + len(band)] = band
    return result if result is not None else np.asarray(image)


def _narrow(array: Array) -> Array:
    """uint16 where it holds all of the values, as it does for 16-bit files that Pillow holds as 32 bits."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    return array.astype(np.uint16) if low >= 0 and high <= 65535 else array
