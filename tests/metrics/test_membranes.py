"""Rand and warping error against pairs counted one by one, topology counted by components, and cases by hand."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from perpixel.core.errors import UserError
from perpixel.metrics import membrane_scores, rand_error, warping_error
from perpixel.metrics.membranes import warp


def blobs(seed: int, size: tuple[int, int] = (9, 11), share: float = 0.5) -> np.ndarray:
    noise = np.random.default_rng(seed).random(size)
    return ndimage.gaussian_filter(noise, 0.8) > np.quantile(ndimage.gaussian_filter(noise, 0.8), share)


def rand_error_by_pairs(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Every ordered pair of truth's cell pixels, a pixel with itself among them."""
    cells, parts = ndimage.label(truth)[0], ndimage.label(prediction)[0]
    pixels = [(int(cells[p]), int(parts[p]), i) for i, p in enumerate(zip(*np.nonzero(truth), strict=True))]
    both = one = other = 0
    for a, b in itertools.product(pixels, pixels):
        in_truth = a[0] == b[0]
        in_prediction = a[1] == b[1] if a[1] else a[2] == b[2]
        both += in_truth and in_prediction
        one += in_truth
        other += in_prediction
    precision, recall = both / other, both / one
    return 1 - 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("seed", range(8))
def test_rand_error_is_that_of_pairs(seed: int) -> None:
    truth, prediction = blobs(seed), blobs(seed + 100, share=0.4)
    assert rand_error(prediction, truth) == pytest.approx(rand_error_by_pairs(prediction, truth), abs=1e-12)


def test_a_gap_in_a_membrane_costs_much_more_rand_than_pixels() -> None:
    truth = np.ones((20, 41), bool)
    truth[:, 20] = False
    gap = truth.copy()
    gap[10, 20] = True
    assert (gap != truth).mean() < 0.002
    assert rand_error(gap, truth) == pytest.approx(1 / 3, abs=1e-3)  # precision 1/2, recall 1: F is 2/3
    assert warping_error(gap, truth) == pytest.approx(1 / truth.size)


def test_nothing_to_compare_is_nan() -> None:
    assert np.isnan(rand_error(np.ones((3, 3), bool), np.zeros((3, 3), bool)))


def euler(binary: np.ndarray) -> tuple[int, int]:
    """How many cells (joined over sides) and membranes (over corners) there are, membrane all around."""
    padded = np.pad(binary, 1)
    return int(ndimage.label(padded)[1]), int(ndimage.label(~padded, np.ones((3, 3)))[1])


@pytest.mark.parametrize("seed", range(12))
def test_warping_keeps_the_topology_and_comes_nearer(seed: int) -> None:
    truth, prediction = blobs(seed, (24, 30)), blobs(seed + 50, (24, 30), 0.45)
    warped = warp(truth, prediction)
    assert euler(warped) == euler(truth)
    changed = warped != truth
    assert (warped == prediction)[changed].all()  # towards the prediction, never elsewhere
    assert changed.any()
    assert warping_error(prediction, truth) <= (prediction != truth).mean()


def test_shifted_and_thicker_membranes_cost_nothing() -> None:
    truth = np.ones((30, 30), bool)
    truth[:, 14:17] = False
    shifted = np.ones((30, 30), bool)
    shifted[:, 17:20] = False
    thick = truth.copy()
    thick[:, 12:19] = False
    assert (shifted != truth).mean() > 0.05
    assert warping_error(shifted, truth) == 0
    assert warping_error(thick, truth) == 0


def test_each_wrong_island_costs_one_pixel_at_least() -> None:
    truth = np.ones((20, 20), bool)
    holes = truth.copy()
    holes[5, 5] = holes[10:13, 12:15] = False
    assert warping_error(holes, truth) == pytest.approx(10 / 400)  # no pixel inside a cell may turn: 1 + 9
    assert warping_error(truth, holes) > 0


def test_a_probability_equal_to_the_threshold_is_cell() -> None:
    truth = np.array([[True, False, True]])
    scores = membrane_scores([np.array([[0.5, 0.25, 0.5]])], [truth], thresholds=[0.5])
    assert (scores.rand_error, scores.warping_error, scores.pixel_error) == (0, 0, 0)
    scores = membrane_scores([np.array([[0.5, 0.5, 0.5]])], [truth], thresholds=[0.5])
    assert scores.pixel_error == pytest.approx(1 / 3)


def test_scores_take_the_best_threshold_of_each() -> None:
    truth = np.ones((12, 21), bool)
    truth[:, 10] = False
    probability = np.where(truth, 0.9, 0.55)
    scores = membrane_scores([probability, probability], [truth, truth])
    assert scores.rand_error == scores.warping_error == scores.pixel_error == 0
    assert 0.55 < scores.rand_threshold <= 0.9
    with pytest.raises(UserError, match="one slice or more"):
        membrane_scores([], [])
    with pytest.raises(UserError, match=r"expected two \(H, W\) maps of one size, got \(2, 2\) and \(3, 3\)"):
        rand_error(np.ones((2, 2), bool), np.ones((3, 3), bool))
