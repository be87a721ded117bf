"""Intervals: they hold the truth as often as they say, and narrow ones come from frames that are not independent."""

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.metrics import draws, interval


def test_each_draw_takes_as_many_groups_as_there_are_with_all_their_images():
    groups = ["a", "b", "a", "c", "b", "a"]
    taken = draws(groups, count=500)
    assert taken.shape == (500, 6)
    assert (taken[:, 0] == taken[:, 2]).all()
    assert (taken[:, 1] == taken[:, 4]).all()
    assert (taken[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert taken[:, 3].mean() == pytest.approx(1, abs=0.15)
    assert (draws(groups, count=500) == taken).all()
    assert (draws(groups, count=500, seed=1) != taken).any()


def coverage(trials, groups_of, spread):
    """How often the interval of a mean of 40 values, in groups with a common part, holds the true mean, 0."""
    rng, held = np.random.default_rng(0), 0
    for trial in range(trials):
        common = rng.normal(0, spread, 10)[np.arange(40) // 4]
        values = common + rng.normal(0, 1, 40)
        taken = draws(groups_of, count=400, seed=trial)
        low, high = interval(taken @ values / taken.sum(axis=1))
        held += low <= 0 <= high
    return held / trials


def test_nineteen_of_twenty_intervals_hold_the_truth():
    assert coverage(400, range(40), spread=0.0) == pytest.approx(0.93, abs=0.035)  # 40 values: a little under 0.95


def test_frames_of_one_video_need_to_be_drawn_together():
    alone, together = coverage(300, range(40), 2.0), coverage(300, [i // 4 for i in range(40)], 2.0)
    assert alone < 0.75
    assert together > 0.84  # 10 groups: narrower than they should be, as the percentile interval is


def test_an_interval_of_known_values():
    assert interval(np.array([np.nan, 1.0, 2.0, 3.0, np.nan]), level=0.5) == (1.5, 2.5)
    assert np.isnan(interval(np.array([np.nan]))).all()


@pytest.mark.parametrize("groups", [[], ["a"], ["a", "a", "a"]])
def test_one_image_has_no_interval(groups):
    with pytest.raises(UserError, match=f"2 images.*got {len(set(groups))}"):
        draws(groups)
