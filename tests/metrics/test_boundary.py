"""Boundary metrics against brute force over all pairs of pixels, and against cases worked by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from perpixel.core.errors import UserError
from perpixel.metrics import BoundaryF1, BoundaryIoU, TrimapIoU

K = 4


def blobs(rng, shape, ignore=255):
    """A label map with a few rectangles, some ignored pixels and one ignored rectangle."""
    labels = np.zeros(shape, np.int64)
    for _ in range(4):
        top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        labels[top : top + rng.integers(2, 9), left : left + rng.integers(2, 9)] = rng.integers(0, K)
    labels[rng.random(shape) < 0.03] = ignore
    labels[: rng.integers(0, 4), : rng.integers(0, 9)] = ignore
    return labels


def neighbours(y, x, shape):
    for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
        if 0 <= v < shape[0] and 0 <= u < shape[1]:
            yield v, u


def loop_boundary(labels, truth, ignore=255):
    points = []
    for y, x in np.ndindex(labels.shape):
        others = [(v, u) for v, u in neighbours(y, x, labels.shape) if truth[v, u] != ignore]
        if truth[y, x] != ignore and any(labels[v, u] != labels[y, x] for v, u in others):
            points.append((y, x))
    return points


def loop_f1(prediction, truth, tolerance):
    reach = tolerance * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2)
    real, found = loop_boundary(truth, truth), loop_boundary(prediction, truth)
    scores = []
    for k in range(K):
        r = [q for q in real if truth[q] == k]
        f = [q for q in found if prediction[q] == k]
        present = ((truth == k).any(), (prediction[truth != 255] == k).any())
        if not any(present) or (all(present) and not r and not f):
            continue
        if not r or not f:
            scores.append(0.0)
            continue
        precision = sum(any(math.dist(q, o) <= reach for o in r) for q in f) / len(f)
        recall = sum(any(math.dist(q, o) <= reach for o in f) for q in r) / len(r)
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return sum(scores) / len(scores) if scores else None


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.1])
def test_boundary_f1_equals_brute_force(tolerance):
    rng = np.random.default_rng(1)
    pairs = [(blobs(rng, (11, 14)), blobs(rng, (11, 14))) for _ in range(12)]
    score = BoundaryF1(K, tolerance=tolerance)
    for prediction, truth in pairs:
        score.update(prediction, truth)
    expected = [value for value in (loop_f1(*pair, tolerance) for pair in pairs) if value is not None]
    assert len(expected) == 12
    assert 0.01 < np.mean(expected) < 0.99
    assert score.mean == pytest.approx(np.mean(expected))


def test_boundary_f1_of_a_border_moved_by_two_pixels():
    truth, prediction = np.zeros((30, 40), int), np.zeros((30, 40), int)
    truth[:, 20:], prediction[:, 22:] = 1, 1
    for tolerance, expected in ((1.9 / 50, 0.0), (2.0 / 50, 1.0)):  # the diagonal is 50
        score = BoundaryF1(2, tolerance=tolerance)
        score.update(prediction, truth)
        assert score.mean == expected


def test_boundary_f1_of_a_false_class_is_zero_and_averages_over_classes_then_images():
    truth = np.zeros((8, 8), int)
    truth[:, 4:] = 1
    prediction = truth.copy()
    prediction[0, 0] = 2
    score = BoundaryF1(3, tolerance=0.0)
    score.update(np.stack([truth, prediction]), np.stack([truth, truth]))
    first = 2 * (8 / 10) / (8 / 10 + 1)  # class 0 has 2 false boundary pixels around the wrong one
    assert score.per_class.tolist() == pytest.approx([(1 + first) / 2, 1, 0])
    assert score.mean == pytest.approx((1 + (first + 1 + 0) / 3) / 2)


def test_boundary_f1_where_there_is_no_boundary():
    flat = np.zeros((5, 5), int)
    same, other = BoundaryF1(2), BoundaryF1(2)
    same.update(flat, flat)
    other.update(flat + 1, flat)
    assert math.isnan(same.mean)
    assert other.mean == 0


def loop_band(labels, truth, k, d):
    """The definition: region minus its d-fold 3x3 erosion, zeros outside; ignored pixels erode nothing."""
    region = (labels == k) & (truth != 255)
    solid = np.pad(region | (truth == 255), d)
    solid[:d] = solid[-d:] = False
    solid[:, :d] = solid[:, -d:] = False
    return region & ~ndimage.binary_erosion(solid, np.ones((3, 3)), iterations=d)[d:-d, d:-d]


@pytest.mark.parametrize("ratio", [0.001, 0.09, 0.2])
def test_boundary_iou_equals_erosion_class_by_class(ratio):
    rng = np.random.default_rng(2)
    score, both, either = BoundaryIoU(K, ratio=ratio), np.zeros(K), np.zeros(K)
    for _ in range(12):
        shape = (rng.integers(5, 24), rng.integers(5, 24))
        prediction, truth = blobs(rng, shape), blobs(rng, shape)
        score.update(prediction, truth)
        d = max(1, round(ratio * math.hypot(*shape)))
        for k in range(K):
            real, found = loop_band(truth, truth, k, d), loop_band(prediction, truth, k, d)
            both[k] += (real & found).sum()
            either[k] += (real | found).sum()
    np.testing.assert_allclose(score.per_class, both / either)
    assert 0.01 < score.mean < 0.99


def test_boundary_iou_by_hand():
    truth = np.zeros((9, 9), int)
    truth[2:7, 2:7] = 1  # its one-pixel band is the ring of 16
    prediction = truth.copy()
    prediction[4, 4] = 0  # a hole: 8 more band pixels of class 1, those around it that are not the ring
    score = BoundaryIoU(3, ratio=0.01)
    score.update(prediction, truth)
    assert score.per_class[1] == pytest.approx(16 / (16 + 8))
    assert math.isnan(score.per_class[2])


@pytest.mark.parametrize("width", [1, 2, 5])
def test_trimap_equals_a_loop(width):
    rng = np.random.default_rng(3)
    score, both, either = TrimapIoU(K, width), np.zeros(K), np.zeros(K)
    for _ in range(8):
        prediction, truth = blobs(rng, (13, 12)), blobs(rng, (13, 12))
        score.update(prediction, truth)
        edges = loop_boundary(truth, truth)
        for q in np.ndindex(truth.shape):
            if truth[q] != 255 and any(math.dist(q, e) <= width for e in edges):
                for k in range(K):
                    both[k] += prediction[q] == k == truth[q]
                    either[k] += prediction[q] == k or truth[q] == k
    np.testing.assert_allclose(score.per_class, both / either)


def test_trimap_sees_only_the_band():
    truth = np.zeros((9, 20), int)
    truth[:, 10:] = 1
    prediction = truth.copy()
    prediction[:, 0] = 1  # far from the border
    score = TrimapIoU(2, width=3)
    score.update(prediction, truth)
    assert score.mean == 1
    assert score.matrix.truth_pixels.tolist() == [9 * 4, 9 * 4]


@pytest.mark.parametrize("metric", [BoundaryF1, BoundaryIoU, TrimapIoU])
class TestAll:
    def test_merge_equals_one_pass_and_dtypes_agree(self, metric):
        rng = np.random.default_rng(4)
        prediction = np.stack([blobs(rng, (10, 12)) for _ in range(4)])
        target = np.stack([blobs(rng, (10, 12)) for _ in range(4)])
        whole, first, second = metric(K), metric(K), metric(K)
        whole.update(torch.from_numpy(prediction), torch.from_numpy(target))
        first.update(prediction[:3].astype(np.uint8), target[:3])
        second.update(prediction[3], target[3].astype(np.int16))
        assert first.merge(second) is first
        assert first.mean == pytest.approx(whole.mean)
        np.testing.assert_allclose(first.per_class, whole.per_class)

    def test_perfect_is_one(self, metric):
        target = blobs(np.random.default_rng(5), (20, 20))
        score = metric(K)
        score.update(target.copy(), target)
        assert score.mean == 1

    def test_what_is_predicted_where_ignored_does_not_matter(self, metric):
        rng = np.random.default_rng(6)
        target = blobs(rng, (16, 16))
        prediction = target.copy()
        prediction[10:14, 2:8] = 2
        target[4:9, 4:9] = 255
        scores = [metric(K), metric(K), metric(K)]
        for score, fill in zip(scores, (0, 3, 254), strict=True):
            score.update(np.where(target == 255, fill, prediction), target)
        assert scores[0].mean == scores[1].mean == scores[2].mean
        assert 0 < scores[0].mean < 1

    @pytest.mark.parametrize("shape", [(3, 3), (1, 1), (0, 3)])
    def test_all_ignored_is_nan(self, metric, shape):
        score = metric(K)
        score.update(np.zeros(shape, int), np.full(shape, 255))
        assert math.isnan(score.mean)
        assert np.isnan(score.per_class).all()

    def test_errors(self, metric):
        with pytest.raises(UserError, match=r"\(4, 4\).*\(4, 5\)"):
            metric(K).update(np.zeros((4, 5), int), np.zeros((4, 4), int))
        with pytest.raises(UserError, match=f"target, got {K}"):
            metric(K).update(np.zeros((4, 4), int), np.full((4, 4), K))
        with pytest.raises(UserError, match=r"\(H, W\) or \(B, H, W\)"):
            metric(K).update(np.zeros(4, int), np.zeros(4, int))
        with pytest.raises(UserError, match="merge"):
            metric(K).merge(metric(K + 1))


def test_merge_refuses_another_width():
    with pytest.raises(UserError, match="merge"):
        TrimapIoU(K, 3).merge(TrimapIoU(K, 4))
    with pytest.raises(UserError, match="width=0"):
        TrimapIoU(K, 0)
