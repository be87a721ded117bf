"""Reading images and masks: every dtype kept, every palette kept, the EXIF orientation applied, or one clear line.

An image is (H, W, C) with C from 1 up, uint8 in [0, 255], uint16 in [0, 65535] or float32 as stored.
Alpha is dropped, CMYK and palettes become RGB. A mask is never converted: indices stay indices.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from perpixel.core import orientation, tiff
from perpixel.core.errors import UserError
from perpixel.core.formats import (
    SUFFIXES,
    avif,
    bmp,
    format_of,
    gif,
    jp2,
    jpeg,
    npy,
    other_content,
    png,
    pnm,
    tga,
    webp,
)
from perpixel.core.masks import NO_NUMBER, RawMask, as_mask
from perpixel.core.pillow import from_pillow
from perpixel.core.pixels import Array, Pixels
from perpixel.core.raster import Raster, as_raster
from perpixel.core.source import Header, Source, as_path, in_one_line

__all__ = [
    "MAX_PIXELS",
    "NO_NUMBER",
    "SUFFIXES",
    "Array",
    "Raster",
    "RawMask",
    "image_from_pillow",
    "image_size",
    "match_channels",
    "orientation_of",
    "read_image",
    "read_mask",
    "read_raster",
]

MAX_PIXELS = int(os.environ.get("PERPIXEL_MAX_PIXELS", 2**28))
"""A file that claims more pixels than this is refused before memory is asked for (PERPIXEL_MAX_PIXELS sets it)."""

T = TypeVar("T")


class _Reader(Protocol):
    """A format: its header alone, and all of its pixels."""

    def header(self, source: Source) -> Header: ...
    def read(self, source: Source, as_mask: bool) -> Pixels: ...


_READERS: dict[str, _Reader] = {
    "avif": avif,
    "bmp": bmp,
    "gif": gif,
    "jp2": jp2,
    "jpeg": jpeg,
    "npy": npy,
    "png": png,
    "pnm": pnm,
    "tga": tga,
    "tiff": tiff,
    "webp": webp,
}


def read_image(path: str | Path, channels: int | None = None) -> Array:
    """Reads an image file as (H, W, C) uint8, uint16 or float32, upright by its EXIF orientation.

    The dtype follows from the file's own, never from its values: 1, 2 and 4 bits fill 8, every other kind of number is
    float32 as stored. NaN, infinity and GDAL's "no data" value become 0 (`read_raster` says where).

    Args:
        channels: how many are wanted; it settles whether the last band of a TIFF that is tagged as alpha is one. Unset,
            it is where it is constant, or where half or more of what is not 0 is the maximum.

    Raises:
        UserError: the file is missing, empty, truncated, not an image, or claims more than `MAX_PIXELS`.
    """
    return read_raster(path, channels).array


def read_raster(path: str | Path, channels: int | None = None) -> Raster:
    """Reads an image as `read_image` does, with where its numbers mean something.

    Raises:
        UserError: as for `read_image`.
    """
    return _with_reader(path, lambda r, s: as_raster(r.read(s, as_mask=False), s.fault, channels))


def read_mask(path: str | Path) -> RawMask:
    """Reads a mask without any conversion: palette masks by index, 16 bits kept, colours as (H, W, 3) uint8.

    A colour mask with three equal channels is returned as the one (H, W) channel that it is. Alpha is dropped; of 2 and
    4 bits and of a PGM, the values are those in the file.

    Raises:
        UserError: as for `read_image`, or the mask holds fractional numbers, or four channels that are one-hot.
    """
    return _with_reader(path, lambda r, s: as_mask(r.read(s, as_mask=True), s.fault))


def image_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of an image file as `read_image` would return it, from the header."""
    return _with_reader(path, lambda r, s: r.header(s).upright)


def orientation_of(path: str | Path) -> int:
    """The EXIF orientation of an image file, 1 to 8, which `read_image` applies; 1 where it has none."""
    return _with_reader(path, lambda r, s: r.header(s).orientation)


def image_from_pillow(image: Image.Image) -> Array:
    """A Pillow image as `read_image` would return its file: every bit kept, upright by its EXIF orientation."""

    def fault(text: str) -> UserError:
        return UserError(f"image: {text}")

    array = as_raster(from_pillow(image, as_mask=False), fault).array
    value = image.getexif().get(0x0112, 1)
    return np.ascontiguousarray(orientation.upright(array, value if value in range(1, 9) else 1))


def match_channels(image: Array, channels: int, where: str) -> Array:
    """Grey becomes RGB by repetition, RGB becomes grey by luma (0.299, 0.587, 0.114); the rest must fit.

    Raises:
        UserError: any other difference.
    """
    have = image.shape[2]
    if have == channels:
        return image
    if have == 1 and channels == 3:
        return np.repeat(image, 3, axis=2)
    if have == 3 and channels == 1:
        grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        return (grey if image.dtype == np.float32 else np.rint(grey).astype(image.dtype))[..., None]
    raise UserError(f"{where}: the model takes {channels} channels, this image has {have}")


def _with_reader(path: str | Path, use: Callable[[_Reader, Source], T]) -> T:
    """Runs something with the reader of a file's format; whatever a decoder raises becomes one line that names the file."""
    file = as_path(path)
    with in_one_line(file):
        source = Source.of(file, MAX_PIXELS)
        name = format_of(source.head, file.suffix)
        if not name:
            holds = other_content(source.head)
            raise source.fault("not an image in a format that can be read" + (f", it holds {holds}" if holds else ""))
        return use(_READERS[name], source)
