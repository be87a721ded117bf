"""The streaming evaluation against its parts, and the per-image figure against a loop."""

import json
import math

import numpy as np
import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.metrics import (
    METRICS,
    BoundaryF1,
    BoundaryIoU,
    CalibrationError,
    ConfusionMatrix,
    Evaluation,
    TrimapIoU,
    image_mean_iou,
)

K = 4


def case(seed, shape=(20, 24)):
    rng = np.random.default_rng(seed)
    target = np.kron(rng.integers(0, K - 1, (5, 6)), np.ones((4, 4), int))
    target[rng.random(shape) < 0.05] = 255
    scores = rng.random((K - 1, *shape)) + 2 * (np.arange(K - 1)[:, None, None] == np.roll(target, 1, 1))
    scores = np.concatenate([scores, np.zeros((1, *shape))])
    return scores.argmax(0), target, scores / scores.sum(0)


def test_every_part_gives_what_it_gives_alone():
    evaluation = Evaluation(K)
    parts = ConfusionMatrix(K), BoundaryF1(K), BoundaryIoU(K), TrimapIoU(K), CalibrationError()
    for seed in range(3):
        prediction, target, probabilities = case(seed)
        evaluation.update(prediction, target, probabilities)
        for part in parts[:4]:
            part.update(prediction, target)
        parts[4].update(probabilities, target)
    results = evaluation.results()
    assert results["mean_iou"] == parts[0].mean_iou
    assert [results[name]["mean"] for name in METRICS[1:4]] == [part.mean for part in parts[1:4]]
    assert results["calibration"]["error"] == parts[4].error
    assert results["calibration"]["pixels"] == results["pixels"] == parts[0].truth_pixels.sum()
    assert results["images"] == 3
    assert (results["num_present"], results["num_classes"], results["iou"][3]) == (3, 4, None)
    assert results["convention"].endswith("at the target's own size, over 3 of 4 classes")


def test_merge_of_batches_equals_one_pass():
    cases = [case(seed) for seed in range(4)]
    whole, first, second = Evaluation(K), Evaluation(K), Evaluation(K)
    for one in cases:
        whole.update(*one)
    first.update(*(np.stack(group) for group in zip(*cases[:2], strict=True)))
    second.update(*(torch.from_numpy(np.stack(group)) for group in zip(*cases[2:], strict=True)))
    merged, expected = first.merge(second).results(), whole.results()
    assert merged["images"] == 4
    assert merged["iou"] == expected["iou"]
    for name in METRICS[1:4]:
        assert merged[name]["mean"] == pytest.approx(expected[name]["mean"])
    assert merged["calibration"]["error"] == pytest.approx(expected["calibration"]["error"])


def test_results_are_strict_json_even_when_empty():
    for evaluation in (Evaluation(K), Evaluation(K, metrics=())):
        text = json.dumps(evaluation.results(), allow_nan=False)
        assert json.loads(text)["mean_iou"] is None


def test_only_what_was_asked_for_is_computed():
    evaluation = Evaluation(K, metrics=("confusion", "trimap"), trimap_width=2)
    evaluation.update(*case(0))
    results = evaluation.results()
    assert results["trimap"]["width"] == 2
    assert not {"boundary_f1", "boundary_iou", "calibration"} & set(results)


def test_without_probabilities_calibration_is_not_measured():
    evaluation = Evaluation(K)
    evaluation.update(*case(0)[:2])
    assert evaluation.results()["calibration"]["error"] is None
    assert evaluation.results()["calibration"]["pixels"] == 0


def test_errors():
    with pytest.raises(UserError, match='mean "boundary_f1"'):
        Evaluation(K, metrics=("boundry_f1",))
    with pytest.raises(UserError, match="merge"):
        Evaluation(K).merge(Evaluation(K, metrics=("confusion",)))
    prediction, target, probabilities = case(0)
    with pytest.raises(UserError, match=r"4 classes.*\(3, 20, 24\)"):
        Evaluation(K).update(prediction, target, probabilities[:3])


def test_image_mean_iou_is_over_the_classes_of_the_truth():
    prediction, target = np.array([[0, 0, 2, 1, 1]]), np.array([[0, 0, 0, 1, 255]])
    assert image_mean_iou(prediction, target, K) == pytest.approx((2 / 3 + 1) / 2)
    assert math.isnan(image_mean_iou(prediction, np.full((1, 5), 255), K))
