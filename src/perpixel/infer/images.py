"""What is given as an image, as an array; and an array of any kind as a picture to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.core.image import Array, Raster, image_from_pillow, read_raster
from perpixel.data.bands import Bands, chosen
from perpixel.data.notes import raster_notes

ImageLike = str | Path | Image.Image | Array


def as_array(image: ImageLike, channels: int | None = None, mean: Sequence[float] = ()) -> Array:
    """Any kind of image as (H, W, C) uint8, uint16 or float32; `channels` are wanted of a file, as for `read_image`.

    Where nothing was measured (NaN, "no data") `mean` stands, one a channel, or 0.

    Raises:
        UserError: a file that cannot be read, or an array of another shape or dtype.
    """
    if isinstance(image, str | Path):
        return read_raster(image, channels).filled(mean)
    if isinstance(image, Image.Image):
        return image_from_pillow(image)
    if not isinstance(image, np.ndarray):
        raise UserError(
            f"expected a path, a PIL image or a numpy array, got {type(image).__name__}{_what_to_do(image)}"
        )
    array = image[..., None] if image.ndim == 2 else image
    if array.ndim != 3 or array.dtype not in (np.uint8, np.uint16, np.float32) or 0 in array.shape:
        raise UserError(f"expected (H, W, C) uint8, uint16 or float32, got {image.dtype} {image.shape}")
    if array.dtype == np.float32 and not (valid := np.isfinite(array)).all():
        return Raster(np.where(valid, array, np.float32(0)), valid).filled(mean)
    return array


def read_with_notes(file: str | Path, takes: Preprocessing) -> tuple[Array, list[str]]:
    """A file's image as `as_array` gives it to a model, and a line for each thing that is not taken as it is stored.

    Raises:
        UserError: it cannot be read.
    """
    raster = read_raster(file, takes.stored)
    return raster.filled(takes.mean_of_bands), raster_notes(raster, takes.stored)


def _what_to_do(image: Any) -> str:
    """How to give what people give instead of an image."""
    if isinstance(image, list | tuple):
        return "; give one image at a time: [predictor.predict(image) for image in images]"
    if isinstance(image, Tensor):
        return "; give (H, W, C): tensor.permute(1, 2, 0).numpy()"
    return "; write its bytes to a file and give its path" if hasattr(image, "read") or isinstance(image, bytes) else ""


def display_image(image: Array, bands: Bands | None = None) -> Array:
    """(H, W, C) of any kind as (H, W, 3) uint8 to look at: the first three of the bands that are taken (or the first), stretched
    from the 2nd to the 98th percentile unless it is a photo of bytes."""
    is_photo = image.dtype == np.uint8 and image.shape[2] <= 4
    image = chosen(image, bands, "image")
    shown = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    if is_photo:
        return shown
    low, high = np.percentile(shown[::4, ::4], [2, 98])
    return (np.clip((shown - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
