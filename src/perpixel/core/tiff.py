"""The parts of TIFF that other formats lack: bands as samples, planes or pages, colour maps, tags of maps."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from perpixel.core import tiff_check
from perpixel.core.orientation import upright
from perpixel.core.pixels import Array, Pixels, behaves_like_alpha
from perpixel.core.source import Header, Source

GDAL_NODATA = 42113

_COLOURS = {"RGB": 3, "YCBCR": 3, "MINISBLACK": 1, "MINISWHITE": 1, "PALETTE": 1, "SEPARATED": 4}
_FOREIGN = {"SEPARATED": "CMYK", "CIELAB": "LAB", "ICCLAB": "LAB", "YCBCR": "YCbCr"}
_JPEG = (6, 7)
_ALPHA = {1: "premultiplied", 2: "straight"}
_BAND = 2**22  # pixels converted to RGB at a time
_LOOKED_AT, _REDUCED = 64, 1


@contextmanager
def open_tiff(source: Source) -> Iterator[Any]:
    """The pages of a TIFF that are read, as tifffile's series; what they claim was looked at before."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # what a user must know is an error or a line of ours
    found = tiff_check.directories(source)
    with tifffile.TiffFile(source.path, _multifile=False, **tiff_check.dialects(found.description)) as file:
        page = file.pages.first
        alone = found.loops or _kind(page) in ("PALETTE", *_FOREIGN)  # indices of several pages are no bands
        series = tifffile.TiffPageSeries([page], page.shape, page.dtype, page.axes) if alone else file.series[0]
        tiff_check.check_series(source, series)
        yield series


def header(source: Source) -> Header:
    """Size and orientation, without decoding anything."""
    with open_tiff(source) as series:
        shape = dict(zip(series.axes, series.shape, strict=True))
        height, width = series.shape[:2] if _bands_are_last(series.axes, series.shape) else (shape["Y"], shape["X"])
        return Header(height, width, _orientation(series.keyframe))


def read(source: Source, as_mask: bool) -> Pixels:
    """Every bit as stored; CMYK and YCbCr become RGB, white as 0 is turned round."""
    with open_tiff(source) as series:
        page = series.keyframe
        kind, bits, turn, nodata = _kind(page), page.bitspersample, _orientation(page), _nodata(page)
        colours = _palette(page) if kind == "PALETTE" else None
        more = _further(series)
        values = series.asarray()
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if kind == "MINISWHITE" and values.dtype.kind == "u":
        values = (2**bits - 1) - values
    values, alpha = _bands(values, series, as_mask)
    if kind in _FOREIGN and not (kind == "YCBCR" and page.compression in _JPEG):  # the JPEG decoder gives RGB
        values, alpha = _to_rgb(values, _FOREIGN[kind], source), ""
    top = 2**bits - 1 if isinstance(bits, int) and bits < 8 and colours is None else 0
    return Pixels(upright(values, turn), colours, top, alpha, raster=True, nodata=nodata, more=more)


def _bands(values: Array, series: Any, as_mask: bool) -> tuple[Array, str]:
    """(H, W) or (H, W, C), and how the last band is tagged; of several pages, each gives up its own alpha."""
    page, axes = series.keyframe, series.axes
    kind = _kind(page)
    colours, samples = _COLOURS.get(kind, 0), page.samplesperpixel
    tags = [_ALPHA.get(int(x), "") for x in page.extrasamples]
    alpha = next((t for t in tags if t), "") if samples == colours + 1 else ""
    if "S" in axes and kind in ("PALETTE", "SEPARATED") and samples > colours:
        values, alpha = values.take(range(colours), axis=axes.index("S")), ""
    elif alpha and len(axes) > 3:
        last = values.take([-1], axis=axes.index("S"))
        if as_mask or behaves_like_alpha(last):
            values = values.take(range(colours), axis=axes.index("S"))
        alpha = ""
    values = _bands_last(values, axes)
    return (values[..., 0] if kind == "PALETTE" and values.ndim == 3 else values), alpha


def _bands_last(array: Array, axes: str) -> Array:
    if _bands_are_last(axes, array.shape):
        return array
    array = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    return array.reshape(*array.shape[:2], -1) if array.ndim > 2 else array


def _bands_are_last(axes: str, shape: tuple[int, ...]) -> bool:
    """Whether "pages" are the rows of an (H, W, C) array that tifffile.imwrite was not told about: H pages of W x C."""
    if axes not in ("QYX", "IYX"):
        return False
    pages, rows, columns = shape
    return columns <= 16 and min(pages, rows) > 2 * columns


def _to_rgb(values: Array, mode: str, source: Source) -> Array:
    """(H, W, 3) uint8 by Pillow, a band of rows at a time. Raises UserError for what it cannot convert."""
    if mode == "CMYK" and values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    if mode == "LAB" or values.dtype != np.uint8:
        raise source.fault(f"{mode} of {values.dtype} cannot be read; save it as RGB")
    height, width = values.shape[:2]
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = values[top : top + rows]
        result[top : top + rows] = Image.frombytes(mode, (width, len(band)), band.tobytes()).convert("RGB")
    return result


def _further(series: Any) -> int:
    """How many pages are no part of a series, of the first `_LOOKED_AT`; smaller copies of a picture do not count."""
    pages, own = series.keyframe.parent.pages, {p.offset for p in series.pages if p is not None}
    if len(pages) <= len(own):
        return 0
    others = (p for p in pages[:_LOOKED_AT] if p.offset not in own)
    return sum(not p.subfiletype & _REDUCED for p in others)


def _kind(page: Any) -> str:
    """tifffile's name of what the numbers mean, or nothing."""
    return str(getattr(page.photometric, "name", ""))


def _palette(page: Any) -> Array:
    """(n, 3) uint8, the colour map."""
    if page.colormap is None:
        raise ValueError("its colour map is missing")
    colours = np.asarray(page.colormap).T
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)  # some writers store 8 of the 16 bits


def _orientation(page: Any) -> int:
    value = page.tags["Orientation"].value if "Orientation" in page.tags else 1
    return value if value in range(1, 9) else 1


def _nodata(page: Any) -> float | None:
    """The number in GDAL's tag, or None."""
    text = page.tags[GDAL_NODATA].value if GDAL_NODATA in page.tags else ""
    try:
        return float(str(text).strip(" \0").replace(",", "."))
    except ValueError:
        return None
