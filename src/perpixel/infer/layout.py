"""How an image is cut: into tiles that equal the whole where a network allows it, else into tiles that are blended."""

from dataclasses import dataclass
from itertools import product

from perpixel.analyze.halo import Halo
from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.infer.exact import exact_spans
from perpixel.infer.tiles import GRID, Span, tiles

TILE = 1536
"""Images with more pixels than a tile of this side are computed tile by tile, so that memory stays bounded."""
LARGEST = 3072
"""The side up to which a tile grows by itself, so that a wide halo leaves it half of its side to answer for."""


@dataclass(frozen=True)
class Layout:
    """tiles: (rows, columns) of each; exact: whether they equal the whole; grid: (rows, columns), on which they lie; reason: why
    they do not equal it."""

    tiles: tuple[tuple[Span, Span], ...]
    exact: bool
    grid: Size = (GRID, GRID)
    reason: str = ""

    @property
    def said(self) -> str:
        """What the output says of it; nothing of an image that goes whole."""
        if len(self.tiles) == 1:
            return ""
        return "tiles equal the whole" if self.exact else f"blended: {len(self.tiles)} tiles ({self.reason})"


def layout(halo: Halo | None, size: Size, tile: int | None = None, mirrored: bool = False, room: int = 0) -> Layout:
    """The tiles of an image.

    Args:
        halo: of the network; None where no tiles can equal the whole.
        size: (H, W) at which the network sees the image.
        tile: the side of a tile; None for `TILE`, or more up to `LARGEST` where the halo asks for it.
        mirrored: whether the mirrored image is asked as well; both margins of a row are then the wider one.
        room: pixels more around what a tile answers for, to interpolate between.

    Raises:
        UserError: a tile too small to be one.
    """
    side = TILE if tile is None else tile
    if len(whole := tuple(tiles(*size, side))) == 1:
        return Layout(whole, True)
    if halo is None:
        return Layout(whole, False, reason="the network sees the whole image, or what it sees cannot be followed")
    if not halo.any_size and any(n % g for n, g in zip(size, halo.grid, strict=True)):
        grid = f"{halo.grid[0]} x {halo.grid[1]}"
        return Layout(whole, False, reason=f"the network resizes an image whose sides are no multiples of {grid}")
    above, below, left, right = (m + room for m in halo.margins)
    left, right = (max(left, right),) * 2 if mirrored else (left, right)
    if tile is None:
        side = max(side, min(LARGEST, 2 * max(above + below, left + right)))
    try:
        rows = list(exact_spans(size[0], side, (above, below), halo.grid[0]))
        columns = list(exact_spans(size[1], side, (left, right), halo.grid[1]))
    except UserError:
        wide = max(above + below, left + right)
        return Layout(whole, False, reason=f"the network sees {wide} pixels around one, too many for a tile of {side}")
    return Layout(tuple(product(rows, columns)), True, halo.grid)
