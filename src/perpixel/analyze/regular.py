"""Where units of a map lie on the image, as one regular row: their stride, and the place of the first."""

import math
from fractions import Fraction

import numpy as np

LONGEST_PERIOD = 256


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
