"""Plain TIFF and BigTIFF images read by window, so that memory holds the window and not the image."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core.image import MAX_PIXELS, Array
from perpixel.core.source import Source, as_path, in_one_line
from perpixel.core.tiff import GDAL_NODATA, open_tiff

LARGEST_CHUNK = 2**24
"""Pixels in a tile or strip of the file, beyond which a window gains nothing."""


@dataclass(frozen=True)
class Windows:
    """A page of tifffile's: (H, W, channels) uint8 or uint16."""

    page: Any

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, channels)."""
        return self.page.imagelength, self.page.imagewidth, self.page.samplesperpixel

    def read(self, rows: slice, columns: slice) -> Array:
        """(h, w, channels), of rows and columns inside the image."""
        page, (tall, wide) = self.page, self.page.chunks[:2]
        result = np.zeros((rows.stop - rows.start, columns.stop - columns.start, self.shape[2]), page.dtype)
        across = -(-self.shape[1] // wide)
        for y, x in product(range(rows.start // tall, -(-rows.stop // tall)), _chunks(columns, wide)):
            chunk = self._chunk(y * across + x)
            if chunk is None:  # a hole in a sparse file is 0
                continue
            top, left = y * tall, x * wide
            a, b = max(rows.start, top), min(rows.stop, top + chunk.shape[0])
            c, d = max(columns.start, left), min(columns.stop, left + chunk.shape[1])
            part = chunk[a - top : b - top, c - left : d - left]
            result[a - rows.start : b - rows.start, c - columns.start : d - columns.start] = part
        return result

    def _chunk(self, index: int) -> Array | None:
        page = self.page
        page.parent.filehandle.seek(page.dataoffsets[index])
        stored = page.parent.filehandle.read(page.databytecounts[index])
        found: Array | None = page.decode(stored, index, jpegtables=page.jpegtables)[0] if stored else None
        return None if found is None else found[0]


@contextmanager
def open_windows(path: str | Path) -> Iterator[Windows | None]:
    """A file to read by window; None where it is no TIFF of one plain picture in tiles or strips: upright, whole numbers of 8 or
    16 bits, grey or RGB with their bands side by side, no alpha and no "no data" value.

    Raises:
        UserError: the file cannot be read.
    """
    file = as_path(path)
    with in_one_line(file):
        source = Source.of(file, MAX_PIXELS)
        if source.head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            yield None
            return
        with open_tiff(source) as series:
            yield Windows(series.keyframe) if _plain(series) else None


def _plain(series: Any) -> bool:
    page = series.keyframe
    kind = getattr(page.photometric, "name", "")
    return (
        len(series.pages) == 1
        and page.dtype in (np.uint8, np.uint16)
        and page.bitspersample == 8 * page.dtype.itemsize
        and kind in ("RGB", "MINISBLACK", "PALETTE")
        and page.planarconfig == 1
        and not page.extrasamples
        and page.imagedepth == 1
        and GDAL_NODATA not in page.tags
        and ("Orientation" not in page.tags or page.tags["Orientation"].value == 1)
        and page.chunks[0] * page.chunks[1] <= LARGEST_CHUNK
    )


def _chunks(columns: slice, wide: int) -> range:
    return range(columns.start // wide, -(-columns.stop // wide))
