"""Panoptic quality equals panopticapi's on maps with void, crowds, splits and wrong classes; and what it refuses."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.metrics import PanopticQuality, Segments

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
import panoptic_cases


def measured(maps: list[tuple[Segments, Segments]]) -> PanopticQuality:
    quality = PanopticQuality(panoptic_cases.CLASSES, panoptic_cases.THINGS)
    for predicted, truth in maps:
        quality.update(predicted, truth)
    return quality


@pytest.mark.parametrize("seed", sorted(panoptic_cases.RECORDED))
def test_the_figures_are_panopticapis(seed: int) -> None:
    maps, recorded = panoptic_cases.cases(seed), panoptic_cases.RECORDED[seed]
    assert sum(len(truth.crowd) for _, truth in maps) > 3
    results = measured(maps).results()
    for name, found in (("all", results), ("things", results["things"]), ("stuff", results["stuff"])):
        assert [found[key] for key in ("pq", "sq", "rq")] == pytest.approx(recorded[name], abs=1e-10), name
    per_class = [tuple(results["per_class"][str(k)].values()) for k in range(panoptic_cases.CLASSES)]
    np.testing.assert_allclose(per_class, recorded["per_class"], atol=1e-10)
    json.dumps(results)


def test_parts_merged_are_the_whole() -> None:
    maps = panoptic_cases.cases(0)
    whole, part, rest = measured(maps), measured(maps[:3]), measured(maps[3:])
    part.merge(rest)
    np.testing.assert_allclose(part.pq, whole.pq, rtol=1e-12)
    assert part.false_negatives.tolist() == whole.false_negatives.tolist()


def row(*ids: int) -> np.ndarray:
    return np.array([ids])


@pytest.mark.parametrize(
    ("predicted", "counts"),
    [
        (Segments(row(5, 5, 5, 5, 5, 5, 0, 0), {5: 0}), (1, 0, 0, 4 / 4)),  # void pixels count in no union
        (Segments(row(5, 5, 0, 0, 0, 0, 0, 0), {5: 0}), (0, 1, 1, 0)),  # IoU of one half is no pair
        (Segments(row(5, 5, 5, 0, 6, 6, 6, 0), {5: 0, 6: 0}), (1, 0, 0, 3 / 4)),  # one that is mostly void is no error
        (Segments(row(5, 5, 5, 6, 6, 0, 0, 0), {5: 0, 6: 0}), (1, 1, 0, 3 / 4)),  # one of which half is void is
        (Segments(row(0, 0, 0, 0, 0, 0, 0, 0), {}), (0, 0, 1, 0)),
    ],
)
def test_counts_by_hand(predicted: Segments, counts: tuple[int, int, int, float]) -> None:
    """The truth has one segment of four pixels, then two void pixels, then a crowd of its class."""
    truth = Segments(row(1, 1, 1, 1, 0, 0, 2, 2), {1: 0, 2: 0}, {2})
    quality = PanopticQuality(1, things=[0])
    quality.update(predicted, truth)
    found = (quality.true_positives, quality.false_positives, quality.false_negatives, quality.overlap)
    assert tuple(float(v[0]) for v in found) == counts


def test_a_class_that_does_not_occur_is_in_no_mean() -> None:
    quality = PanopticQuality(3, things=[2])
    quality.update(Segments(row(1, 1), {1: 0}), Segments(row(4, 4), {4: 0}))
    results = quality.results(["road", "sky", "car"])
    assert results["pq"] == 1.0 and results["things"]["pq"] is None and list(results["per_class"]) == ["road"]
    assert "mean over 1 of 3 classes" in results["convention"]
    assert np.isnan(quality.pq).tolist() == [False, True, True]


def test_nothing_at_all() -> None:
    assert PanopticQuality(2, things=[]).results()["pq"] is None


def test_what_cannot_be_counted_says_why() -> None:
    good = Segments(row(1, 1), {1: 0})
    quality = PanopticQuality(1, things=[0])
    for predicted, message in (
        (Segments(row(1, 1, 1), {1: 0}), r"different sizes: \(1, 3\) and \(1, 2\)"),
        (Segments(row(1, 1), {1: 1}), r"class 1 is not in \[0, 1\)"),
    ):
        with pytest.raises(UserError, match=message):
            quality.update(predicted, good)
    with pytest.raises(UserError, match="2 have no class, 3 no pixel"):
        Segments(row(1, 2), {1: 0, 3: 0})
    with pytest.raises(UserError, match=r"ids must be \(H, W\) integers"):
        Segments(np.zeros((2, 2)), {})
    with pytest.raises(UserError, match=r"things must be classes in \[0, 2\)"):
        PanopticQuality(2, things=[2])
    with pytest.raises(UserError, match="the same classes"):
        quality.merge(PanopticQuality(1, things=[]))
    with pytest.raises(UserError, match="expected 1 names; got 2"):
        quality.results(["a", "b"])
