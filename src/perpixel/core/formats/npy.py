"""NPY, numpy's own: any shape and number type, never a pickle."""

from typing import Any

import numpy as np

from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source


def header(source: Source) -> Header:
    """Size, by the header alone."""
    array = _mapped(source)
    height, width = (*array.shape, 0, 0)[:2]
    return Header(height, width)


def read(source: Source, as_mask: bool) -> Pixels:
    """The array as it was saved."""
    return Pixels(np.array(_mapped(source)))


def _mapped(source: Source) -> Any:
    """The array, its bytes still in the file: a file shorter than its header says is refused before memory is asked for."""
    return np.load(source.path, mmap_mode="r", allow_pickle=False)
