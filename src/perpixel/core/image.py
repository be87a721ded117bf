"""Reading images and masks: every dtype kept, every palette kept, the EXIF orientation applied, or one clear line.

An image is (H, W, C) with C from 1 up, uint8 in [0, 255], uint16 in [0, 65535] or float32 as stored.
Alpha is dropped, CMYK and palettes become RGB. A mask is never converted: indices stay indices.
"""

import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from perpixel.core import tiff
from perpixel.core.errors import UserError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".gif", ".npy"))
"""File name endings (lower case) that are taken for images."""

MAX_PIXELS = int(os.environ.get("PERPIXEL_MAX_PIXELS", 2**28))
"""A file that claims more pixels than this is refused before memory is asked for (PERPIXEL_MAX_PIXELS sets it)."""

Array = np.ndarray[Any, Any]
T = TypeVar("T")
_PILLOW_LIMIT = threading.Lock()
_PNG, _TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class RawMask:
    """A mask as it is on disk: `values` (H, W) integers or (H, W, 3) uint8 colours, `palette` (n, 3) if it has one."""

    values: Array
    palette: Array | None = None


def read_image(path: str | Path) -> Array:
    """Reads an image file as (H, W, C) uint8, uint16 or float32, upright by its EXIF orientation.

    The dtype follows from the file's own, never from its values: 1 bit becomes uint8 0 and 255, every other kind of
    number float32 as stored. NaN and infinity become 0.

    Raises:
        UserError: the file is missing, empty, truncated, not an image, or claims more than `MAX_PIXELS`.
    """
    return _guarded(path, lambda p: _as_image(_read_array(p, as_mask=False).values, p))


def read_mask(path: str | Path) -> RawMask:
    """Reads a mask without any conversion: palette masks by index, 16 bits kept, colours as (H, W, 3) uint8.

    A colour mask with three equal channels is returned as the one (H, W) channel that it is. Alpha is dropped.

    Raises:
        UserError: as for `read_image`, or the mask holds fractional numbers.
    """
    return _guarded(path, lambda p: _as_mask(_read_array(p, as_mask=True), p))


def image_from_pillow(image: Image.Image) -> Array:
    """A Pillow image as `read_image` would return its file: every bit kept, upright by its EXIF orientation."""
    return _as_image(_from_pillow(ImageOps.exif_transpose(image), as_mask=False).values, Path("image"))


def image_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of an image file as `read_image` would return it, from the header where the format allows."""
    path = Path(path)
    if path.suffix.lower() == ".npy" or (path.is_file() and _head(path)[:4] in _TIFF):
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
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory") from error
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
    with _PILLOW_LIMIT:  # Pillow's limit belongs to the process, and readers run in threads
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit is checked right below
        try:
            image = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    _refuse_bomb(image.height, image.width)
    return image


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(26)


def _read_array(path: Path, as_mask: bool) -> RawMask:
    head = _head(path)
    if path.suffix.lower() == ".npy":
        return RawMask(np.load(path, allow_pickle=False))
    if head[:4] in _TIFF:
        return _read_tiff(path, as_mask)
    if _is_16_bit_colour_png(head):
        return RawMask(_read_16_bit_colour_png(path))
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
    if image.mode == "I":  # 16-bit PGM and PNG, held as 32 bits
        return RawMask(_narrowed(np.asarray(image)))
    if image.mode == "F":
        return RawMask(np.asarray(image))
    return RawMask(np.asarray(image.convert("RGB")))


def _is_16_bit_colour_png(head: bytes) -> bool:
    if len(head) < 26 or head[:8] != _PNG:
        return False
    width, height, depth, kind = struct.unpack(">IIBB", head[16:26])
    _refuse_bomb(height, width)
    return depth == 16 and kind in (2, 4, 6)  # RGB, grey with alpha, RGB with alpha


def _read_16_bit_colour_png(path: Path) -> Array:
    """Pillow would keep 8 of the 16 bits; it still knows the orientation."""
    import imagecodecs

    array = imagecodecs.png_decode(path.read_bytes())
    with _open_pillow(path) as image:
        orientation = image.getexif().get(0x0112, 1)
    return tiff.upright(array[..., :3] if array.shape[2] > 2 else array[..., 0], orientation)


def _read_tiff(path: Path, as_mask: bool) -> RawMask:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        page = series.keyframe
        _refuse_bomb(page.imagelength, page.imagewidth)
        values, palette, foreign = tiff.decode(series), tiff.palette(page), tiff.foreign_colours(page)
    if foreign:
        if foreign == "LAB" or values.dtype != np.uint8:
            raise UserError(f"{path}: {foreign} of {values.dtype} cannot be read; save it as RGB")
        return RawMask(np.asarray(Image.fromarray(values, foreign).convert("RGB")))
    return RawMask(values, palette) if as_mask or palette is None else RawMask(palette[values])


def _narrowed(array: Array) -> Array:
    """The first of uint8 (only if it is that already), uint16 and int32 that holds all of the values."""
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype == bool:
        return array.astype(np.uint8)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low >= 0 and high <= 65535:
        return array.astype(np.uint16)
    if low < -(2**31) or high >= 2**31:
        raise ValueError(f"values from {low} to {high} do not fit into 32 bits")
    return array.astype(np.int32)


def _as_image(array: Array, path: Path) -> Array:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape:
        raise UserError(f"{path}: expected an image of (H, W) or (H, W, channels), got shape {array.shape}")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.float32)
        array = np.nan_to_num(array, copy=False, nan=0.0, posinf=0.0, neginf=0.0)  # rasters mark "no data" by NaN
    return np.ascontiguousarray(array)


def _as_mask(mask: RawMask, path: Path) -> RawMask:
    values = _whole(mask.values, path)
    if values.ndim == 3 and values.shape[2] == 4 and values.dtype == np.uint8:
        values = values[..., :3]
    if values.ndim == 3 and (values.shape[2] == 1 or (values.shape[2] == 3 and (values == values[..., :1]).all())):
        values = values[..., 0]
    if values.ndim == 3 and values.dtype == np.uint16:
        values = _eight_bits(values)
    is_colour = values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8
    if 0 in values.shape or not (values.ndim == 2 or is_colour):
        got = f"{values.dtype} {values.shape}"
        raise UserError(f"{path}: expected a mask of (H, W) values or 8-bit RGB colours, got {got}")
    return RawMask(np.ascontiguousarray(values), mask.palette)


def _eight_bits(colours: Array) -> Array:
    """8-bit colours that were stored with 16 bits, plainly or by repeating each byte; others as they are."""
    if colours.max() <= 255:
        return colours.astype(np.uint8)
    return colours if (colours % 257).any() else (colours // 257).astype(np.uint8)


def _whole(values: Array, path: Path) -> Array:
    """The same numbers as the narrowest of uint8, uint16 and int32; floats only where they are whole."""
    if values.dtype.kind == "f":
        fraction = values[~(np.isfinite(values) & (values == np.round(values)))]
        if fraction.size:
            raise UserError(f"{path}: a mask must hold whole numbers, this one holds {fraction[0]}")
        values = values.astype(np.int64)
    return _narrowed(values)
