"""What a reader of a format hands on: the numbers as stored, and what must be known to take them for an image or a mask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_BAND = 2**22  # numbers looked at together


@dataclass(frozen=True)
class Pixels:
    """values (H, W) or (H, W, C), upright, every bit as stored.

    palette: (n, 3) uint8 where the values are indices.
    top: the value that means white where it is not the largest of the dtype: 1, 3 or 15 of 1, 2 or 4 bits, a PGM's maxval.
    alpha: the last channel is tagged as alpha: "", "straight" or "premultiplied".
    raster: of a format of maps, whose writers tag other bands as alpha too.
    nodata: the value that means "nothing was measured here".
    more: how many further pictures the file holds, frames or pages, which are not read.
    """

    values: Array
    palette: Array | None = None
    top: int = 0
    alpha: str = ""
    raster: bool = False
    nodata: float | None = None
    more: int = 0


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


def bands(values: Array) -> Iterator[slice]:
    """Rows of an array (H, ...) a few at a time: what is computed of all of them at once needs its own memory again."""
    rows = max(1, _BAND * len(values) // max(1, values.size))
    return (slice(top, top + rows) for top in range(0, len(values), rows))


def looked_up(table: Array, indices: Array) -> Array:
    """`table[indices]` for indices (H, W) or (H, W, 1) that are all in it, without numpy's 8 bytes for each of them."""
    found = np.empty((*indices.shape, *table.shape[1:]), table.dtype)
    for rows in bands(indices):
        np.take(table, indices[rows], axis=0, out=found[rows], mode="clip")  # other modes copy `out`
    return found


def first_channels(values: Array, channels: int) -> Array:
    """`values[..., :channels]` as an array of its own; one channel after the other is five times as fast as all at once."""
    found = np.empty((*values.shape[:2], channels), values.dtype)
    for rows in bands(values):
        for channel in range(channels):
            found[rows][..., channel] = values[rows][..., channel]
    return found


def has_equal_channels(values: Array) -> bool:
    """Whether all channels of (H, W, C) are the same."""
    first, others = values[..., 0], range(1, values.shape[2])
    return all(bool((first[rows] == values[rows][..., i]).all()) for i in others for rows in bands(values))
