"""Reading images and masks: every dtype kept, every palette kept, the EXIF orientation applied, or one clear line.

An image is (H, W, C) with C from 1 up, uint8 in [0, 255], uint16 in [0, 65535] or float32 as stored.
Alpha is dropped, CMYK and palettes become RGB. A mask is never converted: indices stay indices.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from perpixel.core.errors import UserError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".gif", ".npy"))
"""File name endings (lower case) that are taken for images."""

MAX_PIXELS = int(os.environ.get("PERPIXEL_MAX_PIXELS", 2**28))
"""A file that claims more pixels than this is refused before memory is asked for (PERPIXEL_MAX_PIXELS sets it)."""

Array = np.ndarray[Any, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class RawMask:
    """A mask as it is on disk: `values` (H, W) integers or (H, W, 3) uint8 colours, and `palette` (n, 3) if it has one."""

    values: Array
    palette: Array | None = None


def read_image(path: str | Path) -> Array:
    """Reads an image file as (H, W, C) uint8, uint16 or float32, upright by its EXIF orientation.

    Raises:
        UserError: the file is missing, empty, truncated, not an image, or claims more than `MAX_PIXELS`.
    """
    return _guarded(path, lambda p: _three_axes(_read_array(p, as_mask=False).values, p))


def read_mask(path: str | Path) -> RawMask:
    """Reads a mask without any conversion: palette masks by index, 16 bits kept, colours as (H, W, 3) uint8.

    A colour mask with three equal channels is returned as the one (H, W) channel that it is. Alpha is dropped.

    Raises:
        UserError: as for `read_image`, or the mask holds fractional numbers.
    """
    return _guarded(path, lambda p: _as_mask(_read_array(p, as_mask=True), p))


def image_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of an image file as `read_image` would return it, from the header where the format allows."""
    path = Path(path)
    if path.suffix.lower() in (".tif", ".tiff", ".npy"):
        height, width = read_image(path).shape[:2]
        return height, width

    def header(p: Path) -> tuple[int, int]:
        with _open_pillow(p) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)

    return _guarded(path, header)


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


def _guarded(path: str | Path, read: Callable[[Path], T]) -> T:
    """Runs a reader; whatever a decoder raises becomes one line that names the file."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes); replace or remove it")
    try:
        return read(path)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not an image in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: {_first_line(error)}") from error
    except Exception as error:  # decoders raise whatever they like on a broken file
        raise UserError(f"{path}: cannot be read as an image, it may be truncated ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _refuse_bomb(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise Image.DecompressionBombError(
            f"claims {width}x{height} pixels, more than the limit of {MAX_PIXELS}; "
            "set PERPIXEL_MAX_PIXELS if that is really its size"
        )


def _open_pillow(path: Path) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit is checked right below
    try:
        image = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    _refuse_bomb(image.height, image.width)
    return image


def _read_array(path: Path, as_mask: bool) -> RawMask:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return RawMask(np.load(path, allow_pickle=False))
    if suffix in (".tif", ".tiff"):
        return RawMask(_read_tiff(path))
    if suffix == ".png" and _is_16_bit_colour_png(path):
        import imagecodecs

        return RawMask(imagecodecs.png_decode(path.read_bytes())[..., :3])  # Pillow would keep only 8 of the 16 bits
    with _open_pillow(path) as image:
        return _from_pillow(ImageOps.exif_transpose(image), as_mask)


def _from_pillow(image: Image.Image, as_mask: bool) -> RawMask:
    if image.mode == "P" and as_mask:
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return RawMask(np.asarray(image), palette)
    if image.mode == "1":
        return RawMask(np.asarray(image).astype(np.uint8) * (1 if as_mask else 255))
    if image.mode in ("LA", "La"):
        return RawMask(np.asarray(image)[..., 0])
    if image.mode in ("L", "RGB"):
        return RawMask(np.asarray(image))
    if image.mode.startswith("I;16"):
        return RawMask(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        return RawMask(_narrowed(np.asarray(image)))
    return RawMask(np.asarray(image.convert("RGB")))


def _is_16_bit_colour_png(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[:8] != b"\x89PNG\r\n\x1a\n":
        return False
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    _refuse_bomb(height, width)
    return depth == 16 and colour in (2, 6)


def _read_tiff(path: Path) -> Array:
    """A TIFF as (H, W) or (H, W, C): bands may be samples, planes or pages; an alpha band is dropped; palettes are indices."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        page = series.keyframe
        _refuse_bomb(page.imagelength, page.imagewidth)
        array, axes = series.asarray(), series.axes
        colours = {"RGB": 3, "MINISBLACK": 1, "MINISWHITE": 1}.get(page.photometric.name, 0)
        alpha = colours > 0 and any(int(x) in (1, 2) for x in page.extrasamples) and page.samplesperpixel == colours + 1
        orientation = int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1
        inverted = page.photometric.name == "MINISWHITE" and page.bitspersample > 1
    others = [i for i, axis in enumerate(axes) if axis not in "YX"]
    array = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    array = array.reshape(*array.shape[:2], -1) if others else array
    if alpha:
        array = array[..., :colours]
    if inverted and np.issubdtype(array.dtype, np.unsignedinteger):
        array = np.iinfo(array.dtype).max - array
    return _narrowed(_upright(array, orientation))


def _upright(array: Array, orientation: int) -> Array:
    """Applies an EXIF / TIFF orientation, 1 to 8, to an array (H, W, ...)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _narrowed(array: Array) -> Array:
    """The smallest of uint8, uint16, int32 and float32 that is the dtype or holds all of the values."""
    if array.dtype in (np.uint8, np.uint16, np.float32):
        return array
    if array.dtype == bool:
        return array.astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low >= 0 and high <= 65535:
        return array.astype(np.uint8 if array.dtype == np.int8 else np.uint16)
    return array.astype(np.int32) if -(2**31) <= low and high < 2**31 else array.astype(np.float32)


def _three_axes(array: Array, path: Path) -> Array:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape:
        raise UserError(f"{path}: expected an image of (H, W) or (H, W, channels), got shape {array.shape}")
    array = _narrowed(array)
    if array.dtype == np.int32:
        array = array.astype(np.float32)
    if array.dtype == np.float32 and not np.isfinite(array).all():
        array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)  # rasters mark "no data" by NaN
    return np.ascontiguousarray(array)


def _as_mask(mask: RawMask, path: Path) -> RawMask:
    values = mask.values
    if values.ndim == 3 and values.shape[2] > 3:
        values = values[..., :3]
    if values.ndim == 3 and (values.shape[2] == 1 or (values == values[..., :1]).all()):
        values = values[..., 0]
    if values.ndim == 3 and values.dtype == np.uint16 and not (values % 257).any():
        values = (values // 257).astype(np.uint8)  # 8-bit colours that were stored with 16 bits
    if values.ndim != 2 and not (values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8):
        raise UserError(f"{path}: expected a mask of (H, W) values or 8-bit RGB colours, got {values.dtype} {values.shape}")
    if np.issubdtype(values.dtype, np.floating):
        if not (values == np.round(values)).all():
            raise UserError(f"{path}: a mask must hold whole numbers, this one holds fractions such as {values.max()}")
        values = values.astype(np.int32)
    return RawMask(np.ascontiguousarray(values if values.dtype != bool else values.astype(np.uint8)), mask.palette)
