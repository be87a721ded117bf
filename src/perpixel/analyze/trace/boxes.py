"""For every element of a tensor, the box of image pixels on which it depends: what tracing a network computes with.

A map of 512 channels, 1024 rows and 1024 columns has 2^29 boxes, but the rows of a box hang on the map's row alone, its
columns on the map's column, and nothing on the channel. So bounds are kept as arrays that have length 1 along
whatever they do not hang on, as in broadcasting. Where a network makes one dimension out of several (tokens out of rows
and columns), the dimension remembers its factors, and the arrays keep an axis for each of these.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from perpixel.analyze.trace.bounds import (
    NOTHING,
    Bounds,
    Taps,
    chained,
    masked,
    one,
    slimmed,
    smallest,
    spread,
)
from perpixel.analyze.trace.factors import Groups, common, regroup


class Note(NamedTuple):
    """What happened on the way to a tensor: `kind` is one of the words below, `what` did it, in module `where`."""

    kind: str
    what: str
    where: str


class Windows(NamedTuple):
    """Among which places each of the positions that a max pooling returns stands, on a map of `size`."""

    rows: Taps
    columns: Taps
    size: tuple[int, int]


WHOLE = ("whole rows", "whole columns")
"""All rows, all columns of the image were seen at once."""
SIZED, MOVED, ASSUMED = "sized", "moved", "assumed"
"""Windows grow with the image; places are learned; all was taken as read."""
FACTOR, CORNERS = "factor", "corners on corners"
"""By how much a map was resized: a number or, where that depends on the image's size, `CORNERS`."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of a tensor's elements. A box is empty where its rows or its columns are.

    `notes` tell what happened on the way; `windows` is there for the positions of a max pooling alone.
    """

    groups: Groups
    rows: Bounds
    columns: Bounds
    notes: frozenset[Note] = frozenset()
    windows: Windows | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(math.prod(group) for group in self.groups)

    @property
    def rank(self) -> int:
        return len(self.groups)

    @property
    def kinds(self) -> set[str]:
        """Of the notes."""
        return {note.kind for note in self.notes}

    def axes(self, dim: int) -> range:
        """The axes of the bounds that belong to the dimension."""
        start = 1 + sum(len(group) for group in self.groups[:dim])
        return range(start, start + len(self.groups[dim]))

    def each(self, change: Callable[[Bounds], Bounds], groups: Iterable[tuple[int, ...]]) -> "Boxes":
        """Both bounds changed alike, as those of a tensor of these groups."""
        return replace(self, groups=tuple(groups), rows=change(self.rows), columns=change(self.columns), windows=None)

    def noted(self, *notes: Note) -> "Boxes":
        return replace(self, notes=self.notes | set(notes))

    def regrouped(self, dim: int, group: tuple[int, ...]) -> Groups:
        """The groups with another one for the dimension."""
        return (*self.groups[:dim], group, *self.groups[dim + 1 :])

    def merged(self, dim: int) -> "Boxes":
        """The dimension as one factor."""
        group, axes = self.groups[dim], self.axes(dim)
        if len(group) == 1:
            return self

        def merge(bounds: Bounds) -> Bounds:
            before, after = bounds.shape[: axes.start], bounds.shape[axes.stop :]
            if all(bounds.shape[axis] == 1 for axis in axes):
                return bounds.reshape(*before, 1, *after)
            return spread(bounds, (*before, *group, *after)).reshape(*before, math.prod(group), *after)

        return self.each(merge, self.regrouped(dim, (math.prod(group),)))

    def aligned(self, groups: Groups) -> "Boxes":
        """With these factors; a dimension of length 1 has axes of length 1 for them."""
        boxes = self
        for dim, (own, wanted) in enumerate(zip(self.groups, groups, strict=True)):
            if own == wanted or math.prod(own) == 1:
                continue
            plan = regroup(own, wanted)
            if plan is None or plan[1] != tuple((factor,) for factor in wanted):
                boxes = boxes.merged(dim)
        return boxes.each(lambda bounds: bounds.reshape(2, *boxes.split(bounds, groups)), groups)

    def split(self, bounds: Bounds, groups: Groups) -> list[int]:
        """Lengths of the axes that the bounds have once each factor has fallen into those wanted."""
        lengths: list[int] = []
        for dim, (own, wanted) in enumerate(zip(self.groups, groups, strict=True)):
            parts = regroup(own, wanted) if math.prod(own) > 1 else None
            if parts is None:
                lengths += [1] * len(wanted)
                continue
            for axis, pieces in zip(self.axes(dim), parts[0], strict=True):
                lengths += pieces if bounds.shape[axis] > 1 else [1] * len(pieces)
        return lengths

    def reshape(self, shape: Sequence[int]) -> "Boxes":
        """In the order of the elements, as `torch.reshape`, with every length said."""
        if tuple(shape) == self.shape:
            return self
        plan = regroup([factor for group in self.groups for factor in group], shape)
        if plan is None:
            return self.flat().reshape(shape)
        parts, groups = plan

        def change(bounds: Bounds) -> Bounds:
            pieces = zip(bounds.shape[1:], parts, strict=True)
            lengths = [n for length, part in pieces for n in (part if length > 1 else [1] * len(part))]
            return bounds.reshape(2, *lengths)

        return self.each(change, groups)

    def flat(self) -> "Boxes":
        """As one dimension of one factor: every bound written out."""
        full = tuple(factor for group in self.groups for factor in group)

        def write(bounds: Bounds) -> Bounds:
            return bounds.reshape(2, 1) if bounds.size == 2 else spread(bounds, (2, *full)).reshape(2, -1)

        return self.each(write, ((math.prod(full),),))

    def permute(self, order: Sequence[int]) -> "Boxes":
        axes = [axis for dim in order for axis in self.axes(dim)]
        return self.each(lambda bounds: bounds.transpose(0, *axes), [self.groups[dim] for dim in order])

    def hull(self, dims: Iterable[int], keep: bool) -> "Boxes":
        """One box around all along the dimensions, which then have length 1 or, without `keep`, are gone."""
        gone = set(dims)
        axes = tuple(axis for dim in gone for axis in self.axes(dim))
        groups = [() if dim in gone else group for dim, group in enumerate(self.groups) if keep or dim not in gone]
        return self.ready(axes).each(lambda bounds: bounds.min(axis=axes), groups)

    def ready(self, axes: Iterable[int]) -> "Boxes":
        """The same boxes, with bounds that may be put together along these axes.

        Where the rows of a box are none, its columns mean nothing; they must not count beside those of other boxes.
        """
        mixed = [any(bounds.shape[axis] > 1 for axis in axes) for bounds in (self.rows, self.columns)]
        rows = masked(self.rows, self.columns) if mixed[0] else self.rows
        columns = masked(self.columns, self.rows) if mixed[1] else self.columns
        return replace(self, rows=rows, columns=columns)

    def slim(self) -> "Boxes":
        """The same boxes, with length 1 along every axis along which bounds turned out to be the same."""
        return self.each(slimmed, self.groups)

    def sees_all(self, dims: Iterable[int]) -> tuple[bool, bool]:
        """Whether one box around all along the dimensions has all rows that are seen anywhere; and all columns."""
        axes = tuple(axis for dim in dims for axis in self.axes(dim))
        rows, columns = (any(b.shape[a] > 1 for a in axes) and one(b.min(axis=axes)) for b in (self.rows, self.columns))
        return rows, columns

    def take(self, dim: int, taps: Taps) -> "Boxes":
        """Each output's box is that around its taps along the dimension."""
        boxes = self.merged(dim)
        axis = boxes.axes(dim).start
        groups = boxes.regrouped(dim, (len(taps),))
        if boxes.rows.shape[axis] == boxes.columns.shape[axis] == 1:
            seen = (taps >= 0).any(axis=1).reshape(-1, *[1] * (boxes.rows.ndim - axis - 1))
            return replace(boxes, groups=groups, rows=boxes.rows if seen.all() else np.where(seen, boxes.rows, NOTHING))

        boxes = boxes.ready([axis]) if taps.shape[1] > 1 else boxes

        def gather(bounds: Bounds) -> Bounds:
            if bounds.shape[axis] == 1:  # a box that is empty is so by the other bounds
                return bounds
            none = np.full_like(bounds.take([0], axis), NOTHING)
            found = np.concatenate([bounds, none], axis)  # a tap of -1 reads the last, which is nothing
            return functools.reduce(np.minimum, (found.take(tap, axis) for tap in taps.T))

        return boxes.each(gather, groups)

    def pick(self, dim: int, places: Sequence[int]) -> "Boxes":
        """The elements at these places along the dimension."""
        if places == range(self.shape[dim]):
            return self
        return self.take(dim, np.array(places, dtype=np.int64)[:, None])

    def box(self, index: Sequence[int]) -> tuple[int, int, int, int] | None:
        """First row, last row, first column, last column that one element depends on; None where there is nothing."""
        places = [
            int(p) for place, group in zip(index, self.groups, strict=True) for p in np.unravel_index(place, group)
        ]

        def read(bounds: Bounds) -> tuple[int, int]:
            at = [place if length > 1 else 0 for place, length in zip(places, bounds.shape[1:], strict=True)]
            place: Any = (slice(None), *at)
            low, high = bounds[place].tolist()
            return low, -high

        rows, columns = read(self.rows), read(self.columns)
        return None if NOTHING in (rows[0], columns[0]) else (*rows, *columns)

    def everywhere(self, shape: Sequence[int]) -> "Boxes":
        """For every element of a tensor of this shape one box, around everything here."""
        return around([self.hull(range(self.rank), keep=False)], shape)


def around(items: Sequence[Boxes], shape: Sequence[int]) -> Boxes:
    """For each element of a tensor of this shape the box around those of all items, which are broadcast to it."""
    ranked = [replace(item, groups=((),) * (len(shape) - item.rank) + item.groups) for item in items]
    groups = tuple(
        common([item.groups[dim] for item in ranked if math.prod(item.groups[dim]) > 1], length)
        for dim, length in enumerate(shape)
    )
    aligned = [item.aligned(groups) for item in ranked]
    rows, columns = [item.rows for item in aligned], [item.columns for item in aligned]
    notes = frozenset[Note]().union(*(item.notes for item in items))
    return Boxes(groups, smallest(rows, columns), smallest(columns, rows), notes)


def joined(items: Sequence[Boxes | None], lengths: Sequence[int], dim: int, shape: Sequence[int]) -> Boxes:
    """As `torch.cat` along `dim`; None stands for a tensor in which nothing depends on the image."""
    known = [item for item in items if item is not None]
    first, notes = known[0], frozenset[Note]().union(*(item.notes for item in known))
    if len(known) == len(items) and all(same(first, item) for item in known[1:]):
        start = first.axes(dim).start  # n times the same: one factor more, along which nothing differs
        again = first.each(lambda b: np.expand_dims(b, start), first.regrouped(dim, (len(items), *first.groups[dim])))
        return replace(again, notes=notes)
    groups = tuple(
        (sum(lengths),) if d == dim else common([item.groups[d] for item in known], length)
        for d, length in enumerate(shape)
    )
    parts: list[Boxes | None] = [
        item and item.aligned((*groups[:dim], (length,), *groups[dim + 1 :]))
        for item, length in zip(items, lengths, strict=True)
    ]
    axis = 1 + sum(len(group) for group in groups[:dim])
    rows = chained([None if part is None else part.rows for part in parts], lengths, axis)
    columns = chained([None if part is None else part.columns for part in parts], lengths, axis)
    return Boxes(groups, rows, columns, notes)


def same(a: Boxes, b: Boxes) -> bool:
    return a.groups == b.groups and np.array_equal(a.rows, b.rows) and np.array_equal(a.columns, b.columns)


def image_boxes(channels: int, height: int, width: int) -> Boxes:
    """Those of an image `(1, C, H, W)`: each pixel its own."""
    rows, columns = np.arange(height, dtype=np.int32), np.arange(width, dtype=np.int32)
    return Boxes(
        ((), (channels,), (height,), (width,)) if channels > 1 else ((), (), (height,), (width,)),
        np.stack([rows, -rows]).reshape(2, *[1] * (channels > 1), height, 1),
        np.stack([columns, -columns]).reshape(2, *[1] * (channels > 1), 1, width),
    )
