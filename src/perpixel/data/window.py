"""A part of an image and its mask, and sizes in words."""

from collections.abc import Sequence

from perpixel.core import Size
from perpixel.core.image import Array

Window = tuple[int, int, int, int]
"""top, left, height, width, in pixels."""


def cut(array: Array, window: Window | None) -> Array:
    """The part of an (H, W, ...) array; all of it without a window."""
    if window is None:
        return array
    top, left, height, width = window
    return array[top : top + height, left : left + width]


def lies_inside(window: Window, size: Sequence[int]) -> bool:
    """Whether a window has a pixel or more and lies in an image of size (H, W)."""
    top, left, height, width = window
    return top + height <= size[0] and left + width <= size[1] and height > 0 and width > 0


def overlap(a: Window | None, b: Window | None) -> bool:
    """Whether two windows of one image share a pixel; None is all of it."""
    if a is None or b is None:
        return True
    return all(a[i] < b[i] + b[i + 2] and b[i] < a[i] + a[i + 2] for i in (0, 1))


def hw(size: Sequence[int]) -> str:
    """A size in words.

    >>> hw((40, 60))
    '40x60'
    """
    return f"{size[0]}x{size[1]}"


def window_size(window: Window | None, whole: Size) -> Size:
    """(H, W) of a window, or of the whole image without one."""
    return whole if window is None else (window[2], window[3])
