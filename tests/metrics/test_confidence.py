"""Reliability by class and risk against coverage, by hand and by sorting every pixel."""

import math

import numpy as np
import pytest

from perpixel.metrics import CalibrationError, ClassReliability, RiskCoverage


def case(seed, shape=(20, 30), classes=3):
    rng = np.random.default_rng(seed)
    scores = rng.random((classes, *shape)) ** 3
    probabilities = scores / scores.sum(0)
    target = np.where(rng.random(shape) < 0.6, probabilities.argmax(0), rng.integers(0, classes, shape))
    target[rng.random(shape) < 0.1] = 255
    return probabilities, target


def test_the_classes_together_are_the_calibration_of_the_set():
    whole, each = CalibrationError(), ClassReliability(3)
    for seed in range(3):
        probabilities, target = case(seed)
        whole.update(probabilities, target)
        each.update(probabilities.max(0), probabilities.argmax(0), target)
    assert each.count.sum(axis=0).tolist() == whole.count.tolist()
    assert each.correct.sum(axis=0).tolist() == whole.correct.tolist()
    assert each.confidence_sum.sum(axis=0) == pytest.approx(whole.confidence_sum)


def test_a_class_by_hand():
    each = ClassReliability(3, num_bins=2)
    each.update(np.array([[0.9, 0.7, 0.4, 0.8]]), np.array([[1, 1, 1, 0]]), np.array([[1, 0, 1, 255]]))
    table = each.table(1)
    assert (table["count"], table["accuracy"]) == ([1, 2], [1.0, 0.5])
    assert table["confidence"] == pytest.approx([0.4, 0.8])
    assert each.error[1] == pytest.approx((1 * 0.6 + 2 * 0.3) / 3)
    assert each.bias[1] == pytest.approx((0.9 + 0.7 + 0.4 - 2) / 3)
    assert np.isnan(each.error[[0, 2]]).all()


def area_by_sorting(uncertainty, wrong):
    order = np.argsort(uncertainty, kind="stable")
    return np.mean(np.cumsum(wrong[order]) / np.arange(1, len(order) + 1))


def test_the_area_is_that_of_every_pixel_sorted():
    rng = np.random.default_rng(0)
    uncertainty = rng.random(200_000)
    wrong = rng.random(200_000) < uncertainty**2
    curve = RiskCoverage()
    for part in np.array_split(np.arange(200_000), 4):
        curve.update(uncertainty[part], wrong[part])
    assert curve.area == pytest.approx(area_by_sorting(uncertainty, wrong), abs=2e-4)
    assert curve.risk == wrong.mean()
    coverage, risk = curve.curve()
    at = np.searchsorted(coverage, 0.5)
    order = np.argsort(uncertainty)[: round(coverage[at] * 200_000)]
    assert risk[at] == pytest.approx(wrong[order].mean(), abs=1e-3)
    assert (np.diff(coverage) > 0).all()


def test_an_uncertainty_that_knows_all_has_the_best_area_and_one_that_knows_nothing_the_risk():
    rng = np.random.default_rng(1)
    wrong = rng.random(100_000) < 0.2
    best, none = RiskCoverage(), RiskCoverage()
    best.update(np.where(wrong, 0.9, 0.1), wrong)
    none.update(np.full(100_000, 0.5), wrong)
    assert best.area == pytest.approx(best.best_area, abs=1e-12)
    assert best.best_area == pytest.approx(area_by_sorting(wrong.astype(float), wrong), abs=1e-4)
    assert none.area == pytest.approx(none.risk)


def test_the_surest_are_told_apart():
    curve = RiskCoverage()
    curve.update(np.array([1e-6, 1e-5, 0.0]), np.array([False, True, False]))
    assert curve.curve()[1].tolist() == [0.0, 0.0, pytest.approx(1 / 3)]


def test_nothing_added():
    curve = RiskCoverage()
    assert math.isnan(curve.area)
    assert len(curve.curve()[0]) == 0
