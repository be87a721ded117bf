"""Tiles of a network that sees the whole image cannot equal it; where they overlap they are blended, so that no seam shows."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from perpixel.infer.tiles import Span

Part = tuple[Tensor, Span]
"""(..., n) values of an axis' pixels `start` to `stop`, of which `first` to `last` are to be answered for now."""


def ramp(pixels: int, device: torch.device) -> Tensor:
    """The share of the later of two tiles over the pixels that they share, from near 0 to near 1.

    It is that of two Gaussians, one at either end, with a third of the way between them as standard deviation.
    """
    at = (torch.arange(pixels, device=device) + 0.5) / pixels - 0.5
    return torch.sigmoid(9 * at)


class Joined:
    """Tiles along an axis, one after the other. It keeps what the next one overlaps, and two pixels to interpolate between."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None
        self.start = self.first = self.stop = 0

    def add(self, values: Tensor, span: Span, until: int | None) -> Part:
        """What is settled with one tile more.

        Args:
            values: (..., n), of the span's pixels `start` to `stop`.
            until: where the next tile starts; None for the last.
        """
        start = span.start
        if self.kept is not None:
            shared, start = self.stop - span.start, self.start
            old = self.kept[..., self.kept.shape[-1] - shared :]
            mixed = old.lerp(values[..., :shared], ramp(shared, values.device))
            values = torch.cat((self.kept[..., : self.kept.shape[-1] - shared], mixed, values[..., shared:]), -1)
        if until is None:
            return values, Span(start, self.first, span.stop, span.stop)
        settled = values[..., : until - start], Span(start, self.first, until - 1, until)
        self.start, self.first, self.stop = until - 2, until - 1, span.stop
        self.kept = values[..., self.start - start :].clone()
        return settled


class Blend:
    """Tiles that come row by row; see `add`. Of the image it keeps the overlap of two rows of tiles.

    Args:
        tiles: (rows, columns) of all that will come, in their order.
    """

    def __init__(self, tiles: Sequence[tuple[Span, Span]]) -> None:
        rows, columns = (sorted({spans[axis].start for spans in tiles}) for axis in (0, 1))
        self.below, self.behind = (dict(zip(s, [*s[1:], None], strict=True)) for s in (rows, columns))
        self.across, self.down = Joined(), {start: Joined() for start in columns}

    def add(self, values: Tensor, rows: Span, columns: Span) -> Iterator[tuple[Tensor, Span, Span]]:
        """What is settled with the tile (..., h, w): its values, and the rows and columns that it answers for."""
        if columns.start == 0:
            self.across = Joined()
        strip, here = self.across.add(values, columns, self.behind[columns.start])
        settled, place = self.down[columns.start].add(strip.transpose(-1, -2), rows, self.below[rows.start])
        yield settled.transpose(-1, -2), place, here
