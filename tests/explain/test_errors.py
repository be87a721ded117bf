"""The study of a set: what is counted by hand, what must add up, and what becomes JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.data.samples import Dataset, Sample
from perpixel.explain.error_results import error_results, groups_of
from perpixel.explain.errors import ErrorStudy, seen_together, study_errors
from perpixel.explain.setting import class_number, seen_in_training
from perpixel.explain.worst import WorstRegions
from perpixel.infer import Predictor, evaluate
from perpixel.labels import Taxonomy
from perpixel.metrics import KINDS, CoOccurrence

NAMES = Taxonomy.of(["road", "sky", "car"])


def sample(name: str) -> Sample:
    return Sample(name, Path(name), None)


def study_of(*pairs: tuple[np.ndarray, np.ndarray], worst: WorstRegions | None = None) -> ErrorStudy:
    study = ErrorStudy(NAMES, CoOccurrence(3), worst or WorstRegions())
    for i, (truth, prediction) in enumerate(pairs):
        image, sure = np.zeros((*truth.shape, 3), np.uint8), np.full(truth.shape, 0.75)
        study.add(sample(f"{i}"), image, truth, prediction, sure)
    return study


def two_images() -> list[tuple[np.ndarray, np.ndarray]]:
    truth = np.zeros((20, 30), np.uint8)
    truth[:10], truth[18:, :5] = 1, 255
    shifted = np.roll(truth, 2, axis=0)
    shifted[:2], shifted[18:] = 1, 0
    blob = truth.copy()
    blob[14:17, 20:25] = 2
    return [(truth, shifted), (truth, blob)]


def test_what_is_counted_by_hand() -> None:
    results = error_results(study_of(*two_images()))
    # 60 pixels lie within 2 of the border, 15 are far from any car: 15 of 580 road pixels are above 1 %
    assert results["valid"] == 2 * (600 - 10)
    assert (results["wrong"], results["images"]) == (75, 2)
    assert {k: v["pixels"] for k, v in results["kinds"].items() if v["pixels"]} == {"boundary": 60, "confused": 15}
    assert results["boundary_distance"] == {"1": 30, "2": 30, "3": 0}
    (pair,) = results["look_alikes"]
    assert (pair["truth"], pair["predicted"], pair["pixels"]) == ("road", "car", 15)
    assert pair["share"] == pytest.approx(15 / 580)
    assert results["iou"] == pytest.approx({"road": (580 - 75) / 580, "sky": 600 / 660, "car": 0.0})
    assert results["confidence"]["risk"] == pytest.approx(75 / 1180)
    assert results["confidence"]["classes"][2]["error"] == pytest.approx(0.75)
    json.dumps(results, allow_nan=False)


def test_intervals_hold_the_figure_and_one_image_has_none() -> None:
    results = error_results(study_of(*two_images()))
    low, high = results["kinds"]["confused"]["interval"]
    assert (low, high) == (0.0, pytest.approx(15 / 590))  # a draw may take either image twice
    assert results["resampled"] == "2 images, 1000 draws"
    for entry in results["conventions"]:
        assert entry["value"] is None or entry["interval"][0] <= entry["value"] <= entry["interval"][1]
    alone = error_results(study_of(two_images()[0]))
    assert (alone["resampled"], alone["kinds"]["rest"]["interval"]) == ("", None)
    together = error_results(study_of(*two_images()), groups=["a", "a"])
    assert together["resampled"] == ""


def test_each_group_has_its_own_figures() -> None:
    first, second = error_results(study_of(*two_images(), two_images()[1]), groups=["x", "y", "y"])["groups"]
    assert (first["name"], first["images"], second["name"], second["images"]) == ("x", 1, "y", 2)
    assert first["iou"] == pytest.approx({"road": 230 / 290, "sky": 300 / 360, "car": None})
    assert second["found"]["road"] == pytest.approx(275 / 290)
    assert second["mean_iou"] == pytest.approx((275 / 290 + 1 + 0) / 3)
    assert error_results(study_of(*two_images()))["groups"] == []


def test_sizes_beside_the_field() -> None:
    results = error_results(study_of(*two_images()), field=32)
    assert [row["of_field"] for row in results["sizes"]][:3] == [[0, 0.25], [0.25, 0.5], [0.5, 1.0]]
    assert results["sizes"][-1]["side"] == [128, None]
    assert sum(row["objects"] for row in results["sizes"]) == 4  # a sky and a road each


def test_the_worst_region_of_a_pair_is_kept_with_its_shape() -> None:
    worst = study_of(*two_images()).worst
    kinds = worst.by_kind(study_of(*two_images()).counts.alike)
    (region,) = kinds["confused"]
    assert (region.truth, region.predicted, region.pixels, region.top, region.left) == (0, 2, 15, 14, 20)
    assert region.mask.shape == (3, 5)
    assert region.mask.all()
    assert region.sample.name == "1"
    assert set(kinds) == {"boundary", "confused"}


def test_a_larger_region_of_a_later_image_takes_the_place() -> None:
    (_, _), (truth, blob) = two_images()
    larger, smaller = blob.copy(), truth.copy()
    larger[14:18, 18:25], smaller[15, 20] = 2, 2
    worst = study_of((truth, blob), (truth, larger), (truth, smaller)).worst
    (region,) = worst.found.values()
    assert (region.sample.name, region.pixels) == ("1", 28)


def test_the_worst_regions_of_one_class_or_none() -> None:
    only = study_of(*two_images(), worst=WorstRegions(only=2))
    assert [(r.truth, r.predicted) for r in only.worst.found.values()] == [(0, 2)]
    assert not study_of(*two_images(), worst=WorstRegions(most=0)).worst.found


def test_a_study_is_of_the_same_pixels_as_an_evaluation(predictor: Predictor, dataset: Dataset) -> None:
    assert dataset.taxonomy is not None
    seen = seen_together(dataset.split("train"), dataset.taxonomy)
    study = study_errors(predictor, dataset.split("val"), seen, dataset.taxonomy)
    measured = evaluate(predictor, dataset.split("val"), dataset.taxonomy)
    results, confusion = error_results(study), measured.evaluation.confusion
    assert results["mean_iou"] == pytest.approx(confusion.mean_iou)
    assert results["valid"] == confusion.truth_pixels.sum()
    assert results["wrong"] == confusion.truth_pixels.sum() - np.trace(confusion.counts) > 0
    assert sum(kind["pixels"] for kind in results["kinds"].values()) == results["wrong"]
    assert tuple(results["kinds"]) == KINDS
    for kind, pixels in study.kinds_by_image().items():
        assert pixels.sum() == results["kinds"][kind]["pixels"]
    assert study.reliability.count.sum(axis=0).tolist() == measured.evaluation.calibration.count.tolist()
    assert study.band_sums.truth.sum() == measured.evaluation.trimap.matrix.truth_pixels.sum()


def test_what_occurs_together_is_counted_on_train(dataset: Dataset) -> None:
    assert dataset.taxonomy is not None
    seen, note = seen_in_training(dataset, dataset.taxonomy, "val")
    assert (seen.images, note) == (3, "")
    alone = Dataset(dataset.root, "", {"val": dataset.split("val")}, dataset.taxonomy)
    seen, note = seen_in_training(alone, dataset.taxonomy, "val")
    assert seen.images == 4
    assert "counted on val" in note


def test_groups() -> None:
    samples = [sample("0001TP_1"), sample("0006R0_2")]
    assert groups_of(samples, "^[^_]+") == ["0001TP", "0006R0"]
    assert groups_of(samples, "_(.)") == ["1", "2"]
    with pytest.raises(UserError, match="finds no group in the name"):
        groups_of(samples, "TP")
    with pytest.raises(UserError, match="no regular expression"):
        groups_of(samples, "(")


def test_classes() -> None:
    assert class_number(NAMES, "car") == 2
    with pytest.raises(UserError, match='Did you mean "road"'):
        class_number(NAMES, "raod")
    study = study_of(two_images()[0])
    study.require_class(0)
    with pytest.raises(UserError, match=r'"car" is in none of these 1 masks.*there are: road, sky'):
        study.require_class(2)
