"""From what a network says of a tile to pieces of the answer at the image's own size; one tile is in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from perpixel.core import Size
from perpixel.infer.tiles import Span

PIECE = 2**22
"""Numbers in a piece that was resized: 16 MiB of float32."""


@dataclass(frozen=True)
class Piece:
    """`values` (..., h, w) for the rows from `top` and the columns from `left` of the image."""

    top: int
    left: int
    values: Tensor

    @property
    def place(self) -> tuple[slice, slice]:
        """Its rows and columns in the image."""
        height, width = self.values.shape[-2:]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def pieces(values: Tensor, rows: Span, columns: Span, working: Size, size: Size) -> Iterator[Piece]:
    """What a tile answers for, brought from the working size to the image's.

    Args:
        values: (..., h, w), of the tile, float32.
        rows, columns: the tile's place in the image at its working size.
        working: (H, W) at which the network sees the image.
        size: (H, W) of the image.

    Yields:
        Pieces that cover, over all tiles, every pixel of the image once. They are interpolated as
        `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` does the whole.
    """
    if working == size:
        inner = values[..., rows.first - rows.start : rows.last - rows.start, :]
        yield Piece(rows.first, columns.first, inner[..., columns.first - columns.start : columns.last - columns.start])
        return
    top, bottom = (_own(edge, working[0], size[0]) for edge in (rows.first, rows.last))
    left, right = (_own(edge, working[1], size[1]) for edge in (columns.first, columns.last))
    if left == right:
        return
    across = _between(left, right, columns, working[1], size[1], values.device)
    step = max(1, PIECE // (values[..., 0, 0].numel() * max(right - left, values.shape[-1])))
    for first in range(top, bottom, step):
        down = _between(first, min(first + step, bottom), rows, working[0], size[0], values.device)
        yield Piece(first, left, _columns(_rows(values, *down), *across))


def _own(edge: int, working: int, size: int) -> int:
    """The first pixel of the image whose middle lies at or behind an edge at the working size, rounded as exact fractions are.

    >>> [_own(edge, 4, 8) for edge in range(5)], [_own(edge, 8, 4) for edge in range(9)]
    ([0, 2, 4, 6, 8], [0, 0, 1, 1, 2, 2, 3, 3, 4])
    """
    return -((working - 2 * edge * size) // (2 * working))


def _between(
    first: int, last: int, span: Span, working: int, size: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """For the image's pixels `first` to `last` along one axis: the two of the tile's around each, and how far it is between."""
    at = ((torch.arange(first, last, dtype=torch.float64) + 0.5) * (working / size) - 0.5).clamp(min=0)
    low = at.floor().long()
    high = (low + 1).clamp(max=working - 1)
    return (low - span.start).to(device), (high - span.start).to(device), (at - low).float().to(device)


def _rows(values: Tensor, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    return values.index_select(-2, low).lerp_(values.index_select(-2, high), share[:, None])


def _columns(values: Tensor, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    shape = (*values.shape[:-1], len(low))
    return values.gather(-1, low.expand(shape)).lerp_(values.gather(-1, high.expand(shape)), share)
