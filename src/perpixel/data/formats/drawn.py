"""A mask that is drawn when it is read, from the shapes of an annotation file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perpixel.core import IGNORE, Size
from perpixel.core.errors import UserError, nearest
from perpixel.core.image import Array, RawMask, read_mask
from perpixel.data.formats.shapes import Shape

OVERLAPS = ("last", "first", "small", "large", "ignore")
"""Who wins where shapes of two classes overlap: the later one of the file, the earlier one, the one of fewer pixels, the
one of more, or nobody: the pixel is ignored."""

Layer = tuple[int, Shape]
"""A label (or 255) and its shape."""


@dataclass(frozen=True)
class DrawnMask:
    """Labels in [0, K) and 255, from shapes.

    Args:
        path: the annotation file.
        size: of the picture, (H, W), upright.
        layers: in the file's order.
        rest: the label of what no shape covers.
        overlap: one of `OVERLAPS`.
    """

    path: Path
    size: Size
    layers: tuple[Layer, ...]
    rest: int = 0
    overlap: str = "last"

    def read(self) -> RawMask:
        """The mask (H, W) uint8."""
        labels = np.full(self.size, self.rest, np.uint8)
        drawn = np.zeros(self.size, bool) if self.overlap == "ignore" else None
        for label, shape in self._ordered():
            top, left, inside = shape.region(self.size)
            window = np.s_[top : top + inside.shape[0], left : left + inside.shape[1]]
            part = labels[window]
            if drawn is None:
                part[inside] = label
                continue
            part[inside & drawn[window] & (part != label)] = IGNORE
            part[inside & ~drawn[window]] = label
            drawn[window] |= inside
        return RawMask(labels)

    def areas(self) -> list[int]:
        """How many pixels each shape covers by itself."""
        return [int(shape.region(self.size)[2].sum()) for _, shape in self.layers]

    def _ordered(self) -> Sequence[Layer]:
        """The layers, those that win last."""
        if self.overlap in ("last", "ignore"):
            return self.layers
        if self.overlap == "first":
            return self.layers[::-1]
        sign = 1 if self.overlap == "large" else -1
        order = sorted(zip(self.areas(), range(len(self.layers)), strict=True), key=lambda a: (sign * a[0], a[1]))
        return [self.layers[i] for _, i in order]


@dataclass(frozen=True)
class FileMask:
    """A mask out of an image file whose numbers a table turns into labels, such as COCO's panoptic ids.

    Args:
        path: the image file.
        table: (number, label) pairs; colours are numbered R + 256 G + 65536 B.
        rest: the label of the numbers that are not in the table, or None where that is an error.
        colours: the file holds colours, also where all of them happen to be grey.
    """

    path: Path
    table: tuple[tuple[int, int], ...]
    rest: int | None = None
    colours: bool = False

    def read(self) -> RawMask:
        """The mask (H, W) uint8.

        Raises:
            UserError: it cannot be read, or holds a number that is not in the table.
        """
        values = numbered(read_mask(self.path).values, self.colours)
        keys = np.array([k for k, _ in self.table] or [0], np.int64)
        order = np.argsort(keys)
        labels = np.array([v for _, v in self.table] or [IGNORE], np.uint8)[order]
        place = np.minimum(np.searchsorted(keys[order], values), len(keys) - 1)
        known = keys[order][place] == values
        if self.rest is None and not known.all():
            raise UserError(f"{self.path}: holds {int(values[~known][0])}, which the annotations do not name")
        return RawMask(np.where(known, labels[place], np.uint8(self.rest or 0)))


def numbered(values: Array, colours: bool) -> Array:
    """Integers (H, W) of a mask; colours as R + 256 G + 65536 B."""
    whole = values.astype(np.int64)
    if values.ndim == 3:
        return whole @ np.array([1, 256, 65536])
    return whole * 65793 if colours else whole


def check_overlap(overlap: str) -> str:
    """The same text, if it is one of `OVERLAPS`."""
    if overlap not in OVERLAPS:
        raise UserError(f'overlap must be one of {", ".join(OVERLAPS)}, got "{overlap}".{nearest(overlap, OVERLAPS)}')
    return overlap
