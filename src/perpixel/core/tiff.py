"""The parts of TIFF that other formats lack: bands as samples, planes or pages, colour maps, its orientation tag."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_COLOURS = {"RGB": 3, "YCBCR": 3, "MINISBLACK": 1, "MINISWHITE": 1}
_JPEG = (6, 7)


def foreign_colours(page: Any) -> str:
    """Pillow's name of a page's colours where its samples are neither bands nor RGB, else nothing."""
    kind = {"SEPARATED": "CMYK", "CIELAB": "LAB", "ICCLAB": "LAB", "YCBCR": "YCbCr"}.get(page.photometric.name, "")
    return "" if kind == "YCbCr" and page.compression in _JPEG else kind  # the JPEG decoder gives RGB


def decode(series: Any) -> Array:
    """A tifffile series as (H, W) or (H, W, C), upright; an alpha band is dropped, a colour map is not applied."""
    page, axes, array = series.keyframe, series.axes, series.asarray()
    colours = _COLOURS.get(page.photometric.name, 0)
    has_alpha = any(int(x) in (1, 2) for x in page.extrasamples) and page.samplesperpixel == colours + 1
    if has_alpha and "S" in axes:
        array = array.take(range(colours), axis=axes.index("S"))
    if page.photometric.name == "MINISWHITE" and array.dtype.kind in "bu":
        array = ~array if array.dtype == bool else np.iinfo(array.dtype).max - array
    array = _bands_last(array, axes)
    return upright(array, int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1)


def palette(page: Any) -> Array | None:
    """(n, 3) uint8, the colour map of a palette TIFF."""
    if page.photometric.name != "PALETTE" or page.colormap is None:
        return None
    colours = np.asarray(page.colormap).T
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)  # some writers store 8 of the 16 bits


def upright(array: Array, orientation: int) -> Array:
    """Applies an EXIF or TIFF orientation, 1 to 8, to an array (H, W, ...)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _bands_last(array: Array, axes: str) -> Array:
    if axes in ("QYX", "IYX") and _is_band_last(array.shape):
        return array
    array = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    return array.reshape(*array.shape[:2], -1) if array.ndim > 2 else array


def _is_band_last(shape: tuple[int, ...]) -> bool:
    """Whether "pages" are the rows of an (H, W, C) array that tifffile.imwrite was not told about: H pages of W x C."""
    pages, rows, columns = shape
    return columns <= 16 and min(pages, rows) > 2 * columns
