"""Tiles that equal the whole: what a network of a finite receptive field must see so as to answer for a part of an image."""

from collections.abc import Iterator

from perpixel.core.errors import UserError
from perpixel.infer.tiles import Span


def window(first: int, last: int, length: int, margins: tuple[int, int], grid: int) -> Span:
    """What must be seen to answer for the pixels `first` to `last` of an axis, and no more.

    It starts at a multiple of the grid, and ends at one or where the image ends, so that a network pads with zeros at the
    image's border and nowhere that an answer could see.

    Args:
        length: of the image.
        margins: pixels before and behind itself that a logit sees.
        grid: in pixels; tiles must lie on it (`perpixel.analyze.Halo`).

    >>> window(40, 60, 100, (5, 7), 8)
    Span(start=32, first=40, last=60, stop=72)
    >>> window(90, 100, 100, (5, 7), 8)
    Span(start=80, first=90, last=100, stop=100)
    """
    start = max(0, first - margins[0]) // grid * grid
    stop = min(length, start + -((start - last - margins[1]) // grid) * grid)
    return Span(start, first, last, stop)


def exact_spans(length: int, side: int, margins: tuple[int, int], grid: int) -> Iterator[Span]:
    """The tiles along one axis, as few as there can be: each begins where the one before stops to be sure.

    Args:
        length, margins, grid: as `window` takes them.
        side: the most pixels that a tile may have.

    Raises:
        UserError: a tile of that side would answer for nothing.

    >>> [(s.start, s.first, s.last, s.stop) for s in exact_spans(100, 48, (5, 7), 8)]
    [(0, 0, 41, 48), (32, 41, 73, 80), (64, 73, 100, 100)]
    """
    first, tall = 0, side // grid * grid
    while first < length:
        start = max(0, first - margins[0]) // grid * grid
        last = length if start + side >= length else start + tall - margins[1]
        if last <= first:
            raise UserError(f"a tile of {side} pixels is smaller than what the network sees around a pixel")
        yield window(first, last, length, margins, grid)
        first = last
