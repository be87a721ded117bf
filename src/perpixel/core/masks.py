"""Masks: values as they are on disk, or colours; never a conversion, and nothing dropped that may mean something."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.pixels import Array, Pixels, bands, behaves_like_alpha, first_channels, has_equal_channels

Fault = Callable[[str], UserError]

NO_NUMBER = -(2**24)
"""What NaN in a mask of floats becomes, below every value that a class or `ignore` can name; a data set ignores it as "nan"."""


@dataclass(frozen=True)
class RawMask:
    """A mask as it is on disk: `values` (H, W) integers (`NO_NUMBER` where it is NaN) or (H, W, 3) uint8 colours,
    `palette` (n, 3) if it has one, and how many `more` pictures the file holds, which are not read."""

    values: Array
    palette: Array | None = None
    more: int = 0


def as_mask(pixels: Pixels, fault: Fault) -> RawMask:
    """The mask in a file: three equal channels are the one that they are, 8 bits stored with 16 are 8 bits.

    Raises:
        UserError: fractions, complex numbers, bands, or four channels that are one-hot.
    """
    values = _whole(pixels.values, fault)
    if values.ndim == 3 and values.shape[2] == 2 and pixels.alpha:
        values = values[..., :1]
    if values.ndim == 3 and values.shape[2] == 4 and values.dtype in (np.uint8, np.uint16):
        values = _without_alpha(values, pixels, fault)
    if values.ndim == 3 and (values.shape[2] == 1 or (values.shape[2] == 3 and has_equal_channels(values))):
        values = values[..., 0]
    if values.ndim == 3 and values.dtype == np.uint16:
        values = _eight_bits(values)
    is_colour = values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8
    if 0 in values.shape or not (values.ndim == 2 or is_colour):
        got = f"{values.dtype} {values.shape}"
        hint = "; of one-hot bands, save the index of the largest" if values.ndim == 3 and values.shape[2] != 3 else ""
        raise fault(f"expected a mask of (H, W) values or 8-bit RGB colours, got {got}{hint}")
    return RawMask(np.ascontiguousarray(values), pixels.palette, pixels.more)


def _without_alpha(values: Array, pixels: Pixels, fault: Fault) -> Array:
    """RGB of four channels, if the fourth is alpha: tagged so, or behaving so, and not the fourth of four one-hot classes."""
    varies = bool(values[..., 3].min() != values[..., 3].max())
    one_hot = varies and all(bool(((values[rows] > 0).sum(2) == 1).all()) for rows in bands(values))
    if one_hot or not (pixels.alpha or behaves_like_alpha(values[..., 3])):
        what = "one-hot, each pixel in one of them" if one_hot else "the fourth is no alpha"
        raise fault(f"a mask of four channels ({what}); save the index of the class: mask.argmax(axis=2)")
    return first_channels(values, 3)


def _eight_bits(colours: Array) -> Array:
    """8-bit colours that were stored with 16 bits, plainly or by repeating each byte; others as they are."""
    if colours.max(initial=0) <= 255:
        return colours.astype(np.uint8)
    return colours if (colours % 257).any() else (colours // 257).astype(np.uint8)


def _whole(values: Array, fault: Fault) -> Array:
    """The same numbers as the narrowest of uint8, uint16 and int32; floats only where they are whole, NaN as `NO_NUMBER`."""
    if values.dtype.kind not in "buif":
        raise fault(f"a mask must hold whole numbers, this one holds {values.dtype}")
    if values.dtype.kind == "f":
        number = ~np.isnan(values)
        fraction = values[number & ~(np.isfinite(values) & (values == np.round(values)))]
        if fraction.size:
            hint = "" if np.isfinite(fraction[0]) else "; write the value to ignore there, such as 255"
            raise fault(f"a mask must hold whole numbers, this one holds {fraction[0]}{hint}")
        values = np.where(number, values, 0).astype(np.int64)  # float16 does not reach NO_NUMBER
        values[~number] = NO_NUMBER
    return _narrowed(values)


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
