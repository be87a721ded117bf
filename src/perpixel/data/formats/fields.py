"""Values out of a stranger's JSON or XML, each with a line that names its place where it is not what it must be."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import MAX_PIXELS

FARTHEST = 10.0
"""Corners so many times the picture's longer side away from it, or more, are no drawing but a fault."""


def need(entry: Any, key: str, where: str, kind: type | tuple[type, ...]) -> Any:
    """`entry[key]`, which must be of a kind; `where` begins the message."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{where}: expected an object with {key!r}, got {_short(entry)}")
    if key not in entry:
        raise UserError(f"{where}: lacks {key!r}; it has {', '.join(map(str, list(entry)[:8])) or 'nothing'}")
    value = entry[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{where}: {key!r} must be {names}, got {_short(value)}")
    return value


def class_name(entry: Any, key: str, where: str) -> str:
    """`entry[key]`, the name of a class: a text that is not blank."""
    name: str = need(entry, key, where, str)
    if not name.strip():
        raise UserError(f"{where}: {key!r} is blank, where the name of a class is wanted")
    return name


def size_of(height: Any, width: Any, where: str) -> Size:
    """(H, W) of a picture.

    Raises:
        UserError: no whole numbers from 1 up, or more than `MAX_PIXELS` pixels.
    """
    try:
        h, w = int(height), int(width)
        whole = h == float(height) and w == float(width)
    except (TypeError, ValueError, OverflowError):
        h = w = 0
        whole = False
    if not whole or h < 1 or w < 1 or h * w > MAX_PIXELS:
        raise UserError(f"{where}: the picture's size must be whole numbers of pixels, got {_short((height, width))}")
    return h, w


def points(values: Any, size: Size, where: str, least: int = 1) -> bytes:
    """Corners as the bytes of an (N, 2) float64 array of x, y; a fault of form or place is a line.

    Args:
        values: [[x, y], ...] or [x, y, x, y, ...].
        size: of the picture, (H, W); what lies a little outside is clipped when it is drawn.
        least: so many corners a shape needs.

    Raises:
        UserError: no such numbers, too few, or farther away than `FARTHEST` says.
    """
    try:
        array = np.asarray(values, np.float64)
        array = array.reshape(-1, 2) if array.ndim == 1 else array
        good = array.ndim == 2 and array.shape[1] == 2 and bool(np.isfinite(array).all())
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise UserError(f"{where}: expected corners [[x, y], ...], got {_short(values)}")
    if len(array) < least:
        raise UserError(f"{where}: {len(array)} corners, where {least} are the least")
    most = FARTHEST * max(size)
    if array.size and (array.min() < -most or array.max() > most + max(size)):
        far = array[np.abs(array).max(1).argmax()].tolist()
        raise UserError(f"{where}: the corner {far} lies far outside of the picture of {size[1]}x{size[0]} pixels")
    return array.tobytes()


def numbers(text: str, where: str) -> list[float]:
    """Finite numbers from a text with commas, semicolons or blanks between them.

    >>> numbers("1,2;3.5,4", "here")
    [1.0, 2.0, 3.5, 4.0]
    """
    try:
        found = [float(v) for v in text.replace(";", " ").replace(",", " ").split()]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        raise UserError(f"{where}: expected numbers, got {_short(text)}")
    return found


def whole(values: Any, where: str, most: int = 2**32) -> Sequence[int]:
    """Whole numbers in [0, most], as a list of a JSON has them."""
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v <= most for v in values):
        raise UserError(f"{where}: expected whole numbers from 0 to {most:,}, got {_short(values)}")
    return values


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
