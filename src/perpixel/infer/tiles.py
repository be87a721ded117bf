"""Large images in overlapping tiles, so that memory is bounded by the tile and not by the image."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from perpixel.core.errors import UserError

OVERLAP = 256
GRID = 32
"""Tiles start at multiples of this, so that a network of this stride or less samples a tile where it samples the whole."""


def tiled_logits(logits: Callable[[Tensor], Tensor], image: Tensor, tile: int, overlap: int = OVERLAP) -> Tensor:
    """Logits (1, K, H, W) of an image (1, C, H, W).

    An image of at most tile x tile pixels goes through whole. A larger one goes in tiles of that side, each of which answers for
    its middle alone: half the overlap is cut away at every inner edge. Where a network's receptive field is smaller than
    half the overlap the result equals the whole image's; a network with global context sees the tile only. The overlap is at most
    half a tile.

    Raises:
        UserError: a tile of fewer than 64 pixels.
    """
    if tile < 2 * GRID:
        raise UserError(f"a tile must have {2 * GRID} pixels or more a side, got {tile}")
    height, width = image.shape[-2:]
    if height * width <= tile * tile:
        return logits(image)
    result: Tensor | None = None
    for top, keep_top, bottom in _spans(height, tile, overlap):
        for left, keep_left, right in _spans(width, tile, overlap):
            part = logits(image[..., top : top + tile, left : left + tile])
            if result is None:
                result = torch.empty(1, part.shape[1], height, width, device=part.device)
            result[..., keep_top:bottom, keep_left:right] = part[
                ..., keep_top - top : bottom - top, keep_left - left : right - left
            ]
    assert result is not None
    return result


def _spans(length: int, tile: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """(start of the tile, first pixel that it answers for, end of those) along one axis.

    >>> list(_spans(100, 64, 16))
    [(0, 0, 48), (32, 48, 80), (64, 80, 100)]
    """
    if length <= tile:
        yield 0, 0, length
        return
    step = (tile - min(overlap, tile // 2)) // GRID * GRID
    last = (length - tile + GRID - 1) // GRID * GRID
    starts = [*range(0, last, step), last]
    edges = [0, *((a + tile + b + 1) // 2 for a, b in pairwise(starts)), length]
    yield from zip(starts, edges, edges[1:], strict=False)
