"""Two models: differences by hand, and intervals that are of pairs."""

from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.data.samples import Dataset, Sample
from perpixel.explain.compare import Comparison, compare_models, comparison_results
from perpixel.explain.errors import ErrorStudy, seen_together
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy
from perpixel.metrics import CoOccurrence

NAMES = Taxonomy.of(["road", "sky", "car"])


def comparison_of(triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Comparison:
    found = Comparison(*(ErrorStudy(NAMES, CoOccurrence(3)) for _ in range(2)))  # type: ignore[arg-type]
    for i, (truth, *said) in enumerate(triples):
        for study, labels in zip((found.first, found.second), said, strict=True):
            image, sure = np.zeros((*truth.shape, 3), np.uint8), np.ones(truth.shape)
            study.add(Sample(f"{i}", Path(f"{i}"), None), image, truth, labels, sure)
        found.only_first.append(int(((said[0] == truth) & (said[1] != truth)).sum()))
        found.only_second.append(int(((said[1] == truth) & (said[0] != truth)).sum()))
    return found


def hard_and_easy(count: int = 20) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Images of which every other one is hard for both; the second model has 4 pixels more right in each."""
    triples = []
    for i in range(count):
        truth = np.zeros((20, 20), np.uint8)
        truth[:10] = 1
        first = truth.copy()
        first[10 : 12 + 6 * (i % 2), 2:8] = 1
        second = first.copy()
        second[10, 2:6] = 0
        triples.append((truth, first, second))
    return triples


def figure(results: dict, name: str) -> dict:
    return next(f for f in results["figures"] if f["name"] == name)


def test_differences_by_hand() -> None:
    results = comparison_results(comparison_of(hard_and_easy()))
    wrong = 10 * (12 + 48)
    road = figure(results, "road")
    assert road["first"] == pytest.approx((4000 - wrong) / 4000)
    assert road["second"] == pytest.approx((4000 - wrong + 80) / 4000)
    assert road["difference"] == pytest.approx(80 / 4000)
    everything = figure(results, "all wrong pixels")
    assert (everything["first"], everything["second"]) == pytest.approx((600 / 8000, 520 / 8000))
    kinds = [figure(results, k) for k in ("mismatched", "confused", "inconspicuous", "boundary", "rest")]
    assert sum(k["difference"] for k in kinds) == pytest.approx(everything["difference"])
    assert figure(results, "car")["first"] is None  # it is nowhere
    assert [f["name"] for f in results["figures"]][:2] == ["mIoU", "mIoU near borders"]


def test_the_interval_is_of_pairs() -> None:
    results = comparison_results(comparison_of(hard_and_easy()))
    road = figure(results, "road")
    # each image gains the same 4 of 200 pixels, however hard it is: the difference does not vary, the figures do
    assert road["interval"] == pytest.approx([0.02, 0.02])
    assert road["better"] == 1.0
    wrong = figure(results, "all wrong pixels")
    assert wrong["interval"] == pytest.approx([-0.01, -0.01])
    assert wrong["better"] == 1.0  # less is better


def test_a_model_is_not_better_than_itself() -> None:
    results = comparison_results(comparison_of([(t, a, a) for t, a, _ in hard_and_easy(6)]))
    known = [f for f in results["figures"] if f["difference"] is not None]
    assert {f["difference"] for f in known} == {0.0}
    assert {tuple(f["interval"]) for f in known} == {(0.0, 0.0)}
    assert {f["better"] for f in known} == {0.0}


def test_images_that_differ_most_come_first() -> None:
    triples = hard_and_easy(4)
    truth, first, _ = triples[3]
    triples[3] = (truth, first, truth)
    differ = comparison_results(comparison_of(triples))["differ"]
    assert [(d["name"], d["only_first"], d["only_second"]) for d in differ[:2]] == [("3", 0, 48), ("0", 0, 4)]


def test_one_image_or_group_has_no_interval() -> None:
    with pytest.raises(UserError, match="2 images"):
        comparison_results(comparison_of(hard_and_easy(1)))
    with pytest.raises(UserError, match="got 1"):
        comparison_results(comparison_of(hard_and_easy(3)), groups=["a"] * 3)


def test_both_models_are_asked(predictor: Predictor, dataset: Dataset) -> None:
    assert dataset.taxonomy is not None
    seen = seen_together(dataset.split("train"), dataset.taxonomy)
    found = compare_models(predictor, predictor, dataset.split("val"), seen, dataset.taxonomy)
    assert found.only_first == found.only_second == [0] * 4
    assert found.first.counts.pairs.sum() == found.second.counts.pairs.sum() > 0
