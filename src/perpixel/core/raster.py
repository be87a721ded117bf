"""Images as numbers: (H, W, C), which of them were measured, and what became of a band that is tagged as alpha."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.pixels import Array, Pixels, behaves_like_alpha, first_channels, is_premultiplied, looked_up

Fault = Callable[[str], UserError]


@dataclass(frozen=True)
class Raster:
    """An image, and which of its numbers mean something.

    array: (H, W, C) uint8, uint16 or float32, 0 where nothing was measured.
    valid: (H, W, C) bool, False where it is NaN, infinite or the file's "no data" value; None where all are valid.
    alpha: "dropped" or "kept" for a last band that is tagged as alpha and varies, else "".
    choices: how many channels it has, and with a band that is tagged as alpha, how many it might have.
    more: how many further pictures the file holds, which are not read.
    """

    array: Array
    valid: Array | None = None
    alpha: str = ""
    choices: tuple[int, ...] = ()
    more: int = 0

    def measured(self) -> Array:
        """(H, W) bool: where any channel is valid; labels elsewhere say nothing."""
        return np.ones(self.array.shape[:2], bool) if self.valid is None else np.asarray(self.valid.any(axis=2))

    def filled(self, mean: Sequence[float]) -> Array:
        """The array with each channel's mean where nothing was measured: 0 once the image is normalised.

        Args:
            mean: one a channel, in [0, 1] for 8 and 16 bits and as stored for floats.
        """
        if self.valid is None or len(mean) != self.array.shape[2]:
            return self.array
        white = {"u1": 255.0, "u2": 65535.0}.get(self.array.dtype.str[1:], 1.0)
        filling = np.asarray(mean) * white
        filling = np.rint(filling) if white > 1 else filling
        return np.where(self.valid, self.array, filling.astype(self.array.dtype))


def as_raster(pixels: Pixels, fault: Fault, channels: int | None = None) -> Raster:
    """An image of what a file holds: palettes become RGB, few bits fill 8 or 16, "no data" becomes 0.

    `channels` settles whether a band tagged as alpha is kept: it is where that gives so many.

    Raises:
        UserError: complex numbers, text, or another shape than (H, W) or (H, W, C).
    """
    values = pixels.values
    if values.dtype.kind == "c":
        raise fault(
            "it holds complex numbers; save their magnitude (numpy.abs), or real and imaginary part as two bands"
        )
    if values.dtype.kind not in "buif":
        raise fault(f"expected numbers, got {values.dtype}")
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or 0 in values.shape:
        raise fault(f"expected an image of (H, W) or (H, W, channels), got shape {values.shape}")
    if pixels.palette is not None:
        return Raster(_colours(values[..., 0], pixels.palette), choices=(3,), more=pixels.more)
    choices = (values.shape[2], values.shape[2] - 1) if pixels.alpha else (values.shape[2],)
    values, alpha = _alpha(values, pixels, channels)
    valid = _valid(values, pixels.nodata)
    if values.dtype == bool or pixels.top:
        values = _stretched(values, pixels.top or 1)
    with np.errstate(over="ignore"):  # what is beyond float32 is not valid
        array = values if values.dtype in (np.uint8, np.uint16) else values.astype(np.float32)
    if valid is not None:
        array = np.where(valid, array, array.dtype.type(0))
    return Raster(np.ascontiguousarray(array), valid, alpha, choices, pixels.more)


def _colours(indices: Array, palette: Array) -> Array:
    """(H, W, 3) uint8; an index without a colour is black, as decoders have it."""
    table = np.zeros((max(len(palette), int(indices.max()) + 1), 3), np.uint8)
    table[: len(palette)] = palette
    return looked_up(table, indices)


def _alpha(values: Array, pixels: Pixels, channels: int | None) -> tuple[Array, str]:
    """The bands that are kept, and "dropped" or "kept" where a last one that is tagged as alpha varies."""
    if not pixels.alpha:
        return values, ""
    last, bands = values[..., -1], values.shape[2]
    if channels in (bands, bands - 1):
        keep = channels == bands
    elif pixels.alpha == "premultiplied":
        keep = not (behaves_like_alpha(last) or is_premultiplied(values))
    else:  # of grey with alpha, no writer tags a band by default
        keep = pixels.raster and bands > 2 and not behaves_like_alpha(last)
    varies = last.min() != last.max()
    return values if keep else first_channels(values, bands - 1), ("kept" if keep else "dropped") if varies else ""


def _valid(values: Array, nodata: float | None) -> Array | None:
    """Where the numbers mean something, or None where all do."""
    valid = None
    if values.dtype.kind == "f":
        valid = np.abs(values) <= np.finfo(np.float32).max if values.itemsize > 4 else np.isfinite(values)
    if nodata is not None and np.isfinite(nodata):
        with np.errstate(over="ignore"):
            stored = np.array(nodata).astype(values.dtype)  # -3.4e38 as text is rounded to the number in the file
        if values.dtype.kind == "f" or stored == nodata:
            valid = values != stored if valid is None else valid & (values != stored)
    return None if valid is None or valid.all() else valid


def _stretched(values: Array, top: int) -> Array:
    """uint8 (uint16 for a `top` above 255) in which `top` is white."""
    full, dtype = (255, np.uint8) if top < 256 else (65535, np.uint16)
    table = np.rint(np.minimum(np.arange(max(top, int(values.max())) + 1), top) * (full / top)).astype(dtype)
    return looked_up(table, values.astype(np.uint8) if values.dtype == bool else values)
