"""Intervals by the bootstrap: how much a figure would move if the images had been others of their kind."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from perpixel.core.errors import UserError
from perpixel.metrics.confusion import Floats, Ints

DRAWS = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """From `low` to `high`; both NaN where the figure has no value in any draw."""

    low: float
    high: float


def draws(groups: Sequence[Hashable], count: int = DRAWS, seed: int = 0) -> Ints:
    """(count, N) how often each of N images is taken in each draw.

    As many groups as there are, are drawn with replacement, each with all of its images. Frames of one video are not
    independent: drawn one by one they give an interval that is too narrow, so name the video as their group.

    Args:
        groups: the group of each image; different ones for images that stand for themselves.
        count: how many draws.
        seed: the same seed gives the same draws, so that two models are compared on the same.

    Raises:
        UserError: fewer than two groups.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979; percentile interval.
    """
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    n = len(numbers)
    if n < 2:
        raise UserError(f"an interval needs 2 images (or groups of them) or more, got {n}")
    taken = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=count)
    return taken[:, [numbers[g] for g in groups]].astype(np.int64)


def interval(values: Floats, level: float = LEVEL) -> Interval:
    """The middle `level` of the values of all draws; a draw in which the figure has no value does not count.

    >>> interval(np.arange(101.0), level=0.5)
    Interval(low=25.0, high=75.0)
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
