"""What the loss listened to, as a table: each class's share of pixels, loss and gradient, early and late."""

from dataclasses import dataclass

from perpixel.labels import Taxonomy
from perpixel.report.figures import css_colour
from perpixel.report.run import RunFolder
from perpixel.train.shares import WHAT

BOUNDARY = "pixels at a border"


@dataclass(frozen=True)
class ShareRow:
    """A class, and (first, last) shares of its pixels, of the loss and of the gradient; None where there is none."""

    name: str
    colour: str
    pixels: tuple[float | None, float | None]
    loss: tuple[float | None, float | None]
    gradient: tuple[float | None, float | None]


@dataclass(frozen=True)
class ShareTable:
    """The rows of all classes and of the boundary pixels, and the steps of the first and the last row they are from."""

    rows: tuple[ShareRow, ...]
    first: int
    last: int


def share_table(run: RunFolder, taxonomy: Taxonomy | None) -> ShareTable | None:
    """From the first and the last row of the history that have shares; None where none has, or the classes are unknown."""
    rows = [row for row in run.history if any(key.startswith("gradient_") for key in row)]
    if taxonomy is None or not rows:
        return None
    ends = rows[0], rows[-1]
    named = [(n, css_colour(c), "{}_" + n) for n, c in zip(taxonomy.names, taxonomy.colours, strict=True)]
    found = []
    for name, colour, column in (*named, (BOUNDARY, "", "boundary_{}")):
        pixels, loss, gradient = ((ends[0].get(k), ends[1].get(k)) for k in (column.format(what) for what in WHAT))
        found.append(ShareRow(name, colour, pixels, loss, gradient))
    return ShareTable(tuple(found), int(ends[0]["step"]), int(ends[1]["step"]))
