"""A polygon as Pillow's ImageDraw fills it, versions 8 to 11, with any Pillow: version 12 fills some sharp corners by a
pixel less, and labels must not depend on what is installed.

The rule: corners are cut to whole numbers towards zero. On every line of pixels through the polygon's rows the edges'
crossings, from the first to the last row of each edge, are sorted and taken in pairs, halves rounded inwards; an edge's
last row counts it twice, but in the polygon's last row. A horizontal edge is drawn whole. Where two edges meet in a corner
and lean the same way, the corner is widened to where they are in the next row, so that thin corners have no gaps.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.image import Array

Window = tuple[int, int, int, int]
"""(top, left, bottom, right)."""


@dataclass(frozen=True)
class _Edges:
    """Edges (E,): from (x0, y0), rows top to low, and the step of x a row, float32."""

    x0: Array
    y0: Array
    top: Array
    low: Array
    step: Array

    def at(self, row: Any, edge: Any) -> Array:
        """Where edges are in rows, in float32 as Pillow computes it."""
        found: Array = (row - self.y0[edge]).astype(np.float32) * self.step[edge] + self.x0[edge].astype(np.float32)
        return found

    def joins(self, row: int, i: int, k: int) -> bool:
        """Whether two edges both begin or both end in a row."""
        return bool(row == self.top[i] == self.top[k] or row == self.low[i] == self.low[k])


def fill(xy: Array, size: Size) -> tuple[int, int, Array]:
    """The window (top, left, (h, w) bool) that a polygon of corners (N, 2) covers in a picture of (H, W) pixels."""
    corners = np.trunc(xy).astype(np.int64)
    ends = np.roll(corners, -1, 0)
    if len(corners) > 1 and (corners[0] == corners[-1]).all():
        corners, ends = corners[:-1], ends[:-1]
    window = _window(corners, size)
    flat = corners[:, 1] == ends[:, 1]
    rows, starts, stops = [corners[flat, 1]], [corners[flat, 0]], [ends[flat, 0]]
    starts, stops = [np.minimum(starts[0], stops[0])], [np.maximum(starts[0], stops[0])]
    if not flat.all():
        a, b = corners[~flat], ends[~flat]
        step = (b[:, 0] - a[:, 0]).astype(np.float32) / (b[:, 1] - a[:, 1]).astype(np.float32)
        edges = _Edges(a[:, 0], a[:, 1], np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1]), step)
        lines = _lines(edges, min(int(corners[:, 1].max()), size[0]), size[0])
        rows, starts, stops = ([*u, v] for u, v in zip((rows, starts, stops), lines, strict=True))
    return _painted(np.concatenate(rows), np.concatenate(starts), np.concatenate(stops), window)


def _lines(edges: _Edges, last: int, height: int) -> tuple[Array, Array, Array]:
    """Row, first and last column of every run of pixels between crossings."""
    first, low = np.clip(edges.top, 0, height), np.clip(edges.low, -1, height - 1)
    lengths = np.maximum(low - first + 1, 0)
    edge = np.repeat(np.arange(len(lengths)), lengths)
    row = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[edge]
    x = edges.at(row, edge)
    twice = (row == edges.low[edge]) & (row < last)
    row, edge, x = (np.repeat(v, 1 + twice) for v in (row, edge, x))
    order = np.lexsort((x, row))
    row, x = row[order], x[order]
    same = (row[1:] == row[:-1]) & (x[1:] == x[:-1]) & (x[1:] == np.round(x[1:]))
    for special in np.unique(row[1:][same]).tolist():
        x[row == special] = np.sort(_with_corners(edges, special, last))
    starts, stops = np.floor(x[::2] + np.float32(0.5)), np.ceil(x[1::2] - np.float32(0.5))
    starts = np.where(x[::2] < 0, -np.floor(np.abs(x[::2]) + np.float32(0.5)), starts)
    stops = np.where(x[1::2] < 0, -np.ceil(np.abs(x[1::2]) - np.float32(0.5)), stops)
    return row[::2], starts.astype(np.int64), stops.astype(np.int64)


def _with_corners(edges: _Edges, row: int, last: int) -> Array:
    """The crossings of one row, corners widened. Where Pillow looks for an edge's crossing by the edge's own number, as it
    does, another crossing may be moved than that of the corner; so it is here."""
    found = list[np.float32]()
    numbers = range(len(edges.step))
    for i in (n for n in numbers if edges.top[n] <= row <= edges.low[n]):
        x = edges.at(row, i)
        found.append(np.float32(x))
        if row == edges.low[i] and row < last:
            found.append(np.float32(x))
        elif edges.step[i] != 0 and np.round(x) == x:
            sign = np.sign(edges.step[i])
            met = (
                k
                for k in range(i)
                if np.sign(edges.step[k]) == sign and edges.joins(row, i, k) and edges.at(row, k) == x
            )
            if (k := next(met, None)) is not None and k < len(found):
                found[k] = _widened(edges, row, last, i, k)
    return np.array(found, np.float32)


def _widened(edges: _Edges, row: int, last: int, i: int, k: int) -> np.float32:
    near = row + (-1 if row == last else 1)
    two = (edges.at(near, i), edges.at(near, k))
    if row == edges.low[i]:
        return np.float32(max(two) + 1 if edges.step[i] > 0 else min(two) - 1)
    return np.float32(min(two) if edges.step[i] > 0 else max(two) + 1)


def _window(corners: Array, size: Size) -> Window:
    left, top = (max(0, int(v) - 2) for v in corners.min(0))
    right, low = (int(min(limit, v + 3)) for limit, v in zip(size[::-1], corners.max(0), strict=True))
    return top, left, max(low, top), max(right, left)


def _painted(rows: Array, starts: Array, stops: Array, window: Window) -> tuple[int, int, Array]:
    """Runs of pixels as a mask."""
    top, left, low, right = window
    starts, stops = np.maximum(starts, left), np.minimum(stops, right - 1)
    inside = (rows >= top) & (rows < low) & (starts <= stops)
    change = np.zeros((low - top, right - left + 1), np.int32)
    np.add.at(change, (rows[inside] - top, starts[inside] - left), 1)
    np.add.at(change, (rows[inside] - top, stops[inside] - left + 1), -1)
    return top, left, np.cumsum(change, 1)[:, :-1] > 0
