"""Expected calibration error against a loop over pixels and a case worked by hand."""

import math

import numpy as np
import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.metrics import CalibrationError


def random_case(rng, shape=(3, 9, 7)):
    scores = rng.gamma(0.7, size=shape)
    target = rng.integers(0, shape[0], shape[1:])
    target[rng.random(target.shape) < 0.1] = 255
    return (scores / scores.sum(0)).astype(np.float32), target


def loop_error(cases, bins):
    rows = [[] for _ in range(bins)]
    for probabilities, target in cases:
        for y, x in np.ndindex(target.shape):
            if target[y, x] != 255:
                pixel = [float(value) for value in probabilities[:, y, x]]
                index = next(i for i in range(bins) if max(pixel) <= (i + 1) / bins or i == bins - 1)
                rows[index].append((max(pixel), pixel.index(max(pixel)) == target[y, x]))
    total = sum(len(row) for row in rows)
    gaps = [abs(sum(c for c, _ in row) / len(row) - sum(a for _, a in row) / len(row)) for row in rows if row]
    weights = [len(row) for row in rows if row]
    return sum(gap * weight for gap, weight in zip(gaps, weights, strict=True)) / total, [len(row) for row in rows]


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_equals_a_loop(bins):
    rng = np.random.default_rng(bins)
    cases = [random_case(rng) for _ in range(4)]
    first, second = CalibrationError(bins), CalibrationError(bins)
    first.update(*cases[0])
    first.update(torch.from_numpy(cases[1][0]), torch.from_numpy(cases[1][1]))
    second.update(np.stack([cases[2][0], cases[3][0]]), np.stack([cases[2][1], cases[3][1]]))
    expected, counts = loop_error(cases, bins)
    assert first.merge(second) is first
    assert first.error == pytest.approx(expected)
    assert expected > 0.01
    assert first.table()["count"] == counts


def test_table_by_hand():
    probabilities = np.array([[[0.9, 0.7, 0.4]], [[0.1, 0.3, 0.6]]])
    score = CalibrationError(num_bins=2)
    score.update(probabilities, np.array([[0, 1, 1]]))
    table = score.table()
    assert (table["lower"], table["upper"], table["count"]) == ([0, 0.5], [0.5, 1], [0, 3])
    assert table["confidence"][1] == pytest.approx(2.2 / 3)
    assert table["accuracy"][1] == pytest.approx(2 / 3)
    assert math.isnan(table["accuracy"][0])
    assert score.error == pytest.approx(0.2 / 3)


def test_sure_and_right_is_zero_and_an_edge_belongs_to_the_bin_below():
    score = CalibrationError(num_bins=4)
    score.update(np.array([[[1.0, 0.5]], [[0.0, 0.5]]]), np.array([[0, 255]]))
    assert score.error == 0
    score.update(np.array([[[0.5]], [[0.5]]]), np.array([[0]]))
    assert score.table()["count"] == [0, 1, 0, 1]


def test_all_ignored_is_nan():
    score = CalibrationError()
    score.update(np.full((2, 3, 3), 0.5), np.full((3, 3), 255))
    assert math.isnan(score.error)


def test_half_precision_counts():
    score = CalibrationError()
    score.update(torch.rand(5, 4, 4).softmax(0).bfloat16(), torch.zeros(4, 4, dtype=torch.long))
    assert score.count.sum() == 16


@pytest.mark.parametrize("bad", [np.full((2, 2, 2), 3.0), np.full((2, 2, 2), np.nan), np.array([[[1.5]], [[-0.5]]])])
def test_scores_before_the_softmax_are_refused(bad):
    with pytest.raises(UserError, match="softmax"):
        CalibrationError().update(bad, np.zeros(bad.shape[1:], int))


def test_other_errors():
    half = np.full((2, 3, 3), 0.5)
    with pytest.raises(UserError, match="got 2"):
        CalibrationError().update(half, np.full((3, 3), 2))
    with pytest.raises(UserError, match=r"\(3, 4\).*\(3, 3\)"):
        CalibrationError().update(half, np.zeros((3, 4), int))
    with pytest.raises(UserError, match="int64"):
        CalibrationError().update(half.astype(int), np.zeros((3, 3), int))
    with pytest.raises(UserError, match="num_bins=0"):
        CalibrationError(0)
    with pytest.raises(UserError, match="merge"):
        CalibrationError(3).merge(CalibrationError(4))
