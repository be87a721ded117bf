"""Fields along one axis of an image: their size, stride and offset, from the first and last pixel that each unit sees."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from perpixel.analyze.trace.bounds import NOTHING, Bounds

LONGEST_PERIOD = 256


class Line(NamedTuple):
    """Fields along one axis of the image, as one image showed them; `fits` where units lay inside with all they see."""

    size: float
    stride: float
    offset: float
    fits: bool


def line(bounds: Bounds, pixels: int) -> Line:
    """Fields along one axis of an image of so many pixels."""
    low, high = units(bounds)
    seen = low < NOTHING
    if not seen.any():
        return Line(0, math.nan, math.nan, True)
    places = inside(low, high, pixels)
    if not len(places):
        return Line(int((high - low)[seen].max()) + 1, math.nan, math.nan, False)
    extent = int((high - low)[places].max()) + 1
    start, stop = steady(places)
    return Line(extent, *grid((low[start:stop] + high[start:stop]) / 2, start), True)


def inside(low: np.ndarray, high: np.ndarray, pixels: int) -> np.ndarray:
    """The numbers of the units whose fields touch neither border of the image nor, if there are such, of what is read
    of it: strides may leave its last pixels out."""
    seen = low < NOTHING
    within = seen & (low > 0) & (high < pixels - 1)
    farther = within & (low > low[seen].min(initial=NOTHING)) & (high < high[seen].max(initial=0))
    return np.flatnonzero(farther if farther.any() else within)


def units(bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last pixel of each unit along the axis of the map on which these hang most, channels as one."""
    best, spread = bounds.reshape(2, -1).min(axis=1, keepdims=True), -1.0
    for axis in range(1, bounds.ndim):
        others = tuple(a for a in range(1, bounds.ndim) if a != axis)
        found = bounds.min(axis=others)
        seen = found[:, found[0] < NOTHING].astype(np.int64)
        reach = float(np.ptp(seen[0] - seen[1])) if bounds.shape[axis] > 1 and seen.size else -1.0
        if reach >= spread and reach >= 0:
            best, spread = found, reach
    low, high = best.astype(np.int64)
    return low, -high


def steady(places: np.ndarray) -> tuple[int, int]:
    """Start and end of the longest run of neighbours among ascending numbers, less a quarter at both ends of a long one,
    where a border may still be felt.

    >>> steady(np.array([1, 4, 5, 6, 9])), steady(np.arange(100, 200))
    ((4, 7), (125, 175))
    """
    run = max(np.split(places, np.flatnonzero(np.diff(places) != 1) + 1), key=len)
    less = len(run) // 4 if len(run) >= 8 else 0
    return int(run[0]) + less, int(run[-1]) + 1 - less


def grid(centres: np.ndarray, first: int) -> tuple[float, float]:
    """Stride and offset of units whose fields have these centres; `first` is the number of the first of them.

    >>> grid(np.array([10.0, 10.0, 12.0, 12.0, 14.0, 14.0]), 4)  # two units see the same, as behind a nearest resize
    (1.0, 5.5)
    """
    index = np.arange(first, first + len(centres))
    if (cycle := repeats(centres)) is not None:
        stride = cycle[1] / cycle[0]
        return stride, float((centres - stride * index)[: cycle[0]].mean())
    if len(centres) < 2:
        return math.nan, math.nan
    slope = float(centres[-1] - centres[0]) / (len(centres) - 1)
    simple = float(Fraction(slope).limit_denominator(16))
    stride = simple if abs(simple - slope) <= 0.01 * abs(slope) else slope
    return stride, round(float((centres - stride * index).mean()), 2)


def repeats(places: np.ndarray) -> tuple[int, float] | None:
    """After how many units places are the same again but for a shift, and the shift; None for an irregular row."""
    for period in range(1, min(LONGEST_PERIOD, len(places) // 2) + 1):
        steps = places[period:] - places[:-period]
        if (steps == steps[0]).all():
            return period, float(steps[0])
    return None
