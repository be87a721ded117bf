"""Draws the figures of docs/lecture.md. `make figures`, or `python docs/figures/draw.py NAME...` for some of them.

Each is computed by perpixel's own layers and networks; nothing is painted by hand.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import coarse_to_fine
import fields
import gridding
import pyramid
import sampling
import upsampling
import votes
from matplotlib.figure import Figure
from style import save

FOLDER = Path(__file__).resolve().parent.parent / "images" / "lecture"

FIGURES: dict[str, Callable[[], Figure]] = {
    "dilation": fields.dilation,
    "fcn": coarse_to_fine.fcn,
    "gridding": gridding.gridding,
    "pooling": upsampling.pooling,
    "pyramid": pyramid.pyramid,
    "sampling": sampling.sampling,
    "tiling": upsampling.tiling,
    "votes": votes.votes,
}
"""Name of the PNG -> what draws it."""


def main(names: list[str]) -> None:
    """Draw the figures of these names, or all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or FIGURES:
        path = FOLDER / f"{name}.png"
        save(FIGURES[name](), path)
        print(f"{path.relative_to(FOLDER.parents[2])}  {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
