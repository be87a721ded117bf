"""Large images in overlapping tiles, so that memory is bounded by the tile and not by the image."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from perpixel.core.errors import UserError

OVERLAP = 256
GRID = 32
"""Tiles start at multiples of this, so that a network of this stride or less samples a tile where it samples the whole."""


@dataclass(frozen=True)
class Span:
    """Along one axis: the tile's pixels `start` to `stop`, of which it answers for `first` to `last`."""

    start: int
    first: int
    last: int
    stop: int


def tiles(height: int, width: int, tile: int, overlap: int = OVERLAP) -> Iterator[tuple[Span, Span]]:
    """(rows, columns) of each tile of an image.

    An image of at most tile x tile pixels is one tile. A larger one goes in tiles of that side, each of which answers for
    its middle alone: half the overlap is cut away at every inner edge. Where a network's receptive field is smaller than
    half the overlap the result equals the whole image's; a network with global context sees the tile only. The overlap is at most
    half a tile.

    Raises:
        UserError: a tile of fewer than 64 pixels.

    >>> list(tiles(10, 100, 64))
    [(Span(start=0, first=0, last=10, stop=10), Span(start=0, first=0, last=100, stop=100))]
    """
    if tile < 2 * GRID:
        raise UserError(f"a tile must have {2 * GRID} pixels or more a side, got {tile}")
    if height * width <= tile * tile:
        yield Span(0, 0, height, height), Span(0, 0, width, width)
        return
    yield from product(spans(height, tile, overlap), list(spans(width, tile, overlap)))


def spans(length: int, tile: int, overlap: int) -> Iterator[Span]:
    """The tiles along one axis.

    >>> [(s.start, s.first, s.last, s.stop) for s in spans(100, 64, 16)]
    [(0, 0, 48, 64), (32, 48, 80, 96), (64, 80, 100, 100)]
    """
    if length <= tile:
        yield Span(0, 0, length, length)
        return
    step = (tile - min(overlap, tile // 2)) // GRID * GRID
    last = (length - tile + GRID - 1) // GRID * GRID
    starts = [*range(0, last, step), last]
    edges = [0, *((a + tile + b + 1) // 2 for a, b in pairwise(starts)), length]
    for start, first, end in zip(starts, edges, edges[1:], strict=False):
        yield Span(start, first, end, min(start + tile, length))
