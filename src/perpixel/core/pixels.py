"""What a reader of a format hands on: the numbers as stored, and what must be known to take them for an image or a mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pixels:
    """values (H, W) or (H, W, C), upright, every bit as stored.

    palette: (n, 3) uint8 where the values are indices.
    top: the value that means white where it is not the largest of the dtype: 1, 3 or 15 of 1, 2 or 4 bits, a PGM's maxval.
    alpha: the last channel is tagged as alpha: "", "straight" or "premultiplied".
    raster: of a format of maps, whose writers tag other bands as alpha too.
    nodata: the value that means "nothing was measured here".
    """

    values: Array
    palette: Array | None = None
    top: int = 0
    alpha: str = ""
    raster: bool = False
    nodata: float | None = None


def behaves_like_alpha(band: Array) -> bool:
    """Whether a band that is tagged as alpha is one: it is constant, or half or more of what is not 0 is the maximum.

    rasterio tags the fourth of four bands as alpha where nothing else is said; near infrared has many values. An alpha
    is 0 and the maximum (of the dtype, 1 for floats), with other values along edges.

    >>> behaves_like_alpha(np.array([0, 255, 255, 128], np.uint8)), behaves_like_alpha(np.array([9, 80, 70], np.uint8))
    (True, False)
    """
    full = 1 if band.dtype.kind == "f" else np.iinfo(band.dtype).max
    shown = int(np.count_nonzero(band))
    return bool(band.min() == band.max()) or 2 * int(np.count_nonzero(band == full)) >= max(shown, 1)


def is_premultiplied(values: Array) -> bool:
    """Whether no colour is above the last channel, as it must be where colours were multiplied by alpha."""
    return all(bool((values[..., i] <= values[..., -1]).all()) for i in range(values.shape[-1] - 1))
