"""The confusion matrix against a ten-line loop, hand-worked numbers and the rules of cityscapesScripts."""

import json
import math
import warnings

import numpy as np
import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.metrics import ConfusionMatrix

DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.uint64, np.dtype(">i4")]


def loop_iou(prediction, target, num_classes, ignore=255):
    ious = []
    for k in range(num_classes):
        intersection = union = 0
        for p, t in zip(np.ravel(prediction).tolist(), np.ravel(target).tolist(), strict=True):
            if t != ignore:
                intersection += p == k and t == k
                union += p == k or t == k
        ious.append(intersection / union if union else math.nan)
    return ious


def loop_counts(prediction, target, num_classes, ignore=255):
    counts, missed = np.zeros((num_classes, num_classes), int), np.zeros(num_classes, int)
    for p, t in zip(np.ravel(prediction).tolist(), np.ravel(target).tolist(), strict=True):
        if t != ignore and p == ignore:
            missed[t] += 1
        elif t != ignore:
            counts[t, p] += 1
    return counts, missed


def matrix_of(prediction, target, num_classes, ignore=255):
    matrix = ConfusionMatrix(num_classes, ignore)
    matrix.update(prediction, target)
    return matrix


def from_counts(rows):
    size = len(rows)
    return ConfusionMatrix.from_dict({"num_classes": size, "ignore_index": 255, "counts": rows, "missed": [0] * size})


def test_two_class_example_worked_by_hand():
    matrix = from_counts([[6, 4], [2, 18]])
    assert matrix.pixel_accuracy == 24 / 30
    np.testing.assert_allclose(matrix.class_accuracy, [6 / 10, 18 / 20])
    assert matrix.mean_class_accuracy == 0.75
    np.testing.assert_allclose(matrix.iou, [6 / 12, 18 / 24])
    assert matrix.mean_iou == 0.625
    assert matrix.frequency_weighted_iou == pytest.approx(10 / 30 * 0.5 + 20 / 30 * 0.75)


def test_rows_are_truth_and_columns_prediction():
    matrix = matrix_of(np.array([[2, 2, 2]]), np.array([[1, 1, 0]]), 3)
    assert matrix.counts.tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 0]]


def test_absent_class_is_nan_and_left_out_of_the_mean():
    target, prediction = np.array([[0, 0], [1, 255]]), np.array([[0, 2], [1, 3]])
    matrix = matrix_of(prediction, target, 5)
    np.testing.assert_array_equal(matrix.iou, loop_iou(prediction, target, 5))
    assert matrix.mean_iou == pytest.approx((0.5 + 1 + 0) / 3)
    assert matrix.num_present == 3
    np.testing.assert_array_equal(matrix.class_accuracy, [0.5, 1, math.nan, math.nan, math.nan])


@pytest.mark.parametrize("label", [0, 1])
def test_one_pixel(label):
    matrix = matrix_of(np.array([[label]]), np.array([[1]]), 2)
    np.testing.assert_array_equal(matrix.iou, loop_iou([[label]], [[1]], 2))
    assert matrix.pixel_accuracy == label


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (2, 0)])
def test_nothing_valid_is_nan_without_a_warning(shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix = matrix_of(np.zeros(shape, int), np.full(shape, 255), 3)
        figures = [matrix.pixel_accuracy, matrix.mean_class_accuracy, matrix.mean_iou, matrix.frequency_weighted_iou]
        assert np.isnan(figures).all()
        assert np.isnan(matrix.iou).all()
        assert matrix.num_present == 0


def test_ignore_predicted_on_a_valid_pixel_is_a_miss_of_the_truth_alone():
    matrix = matrix_of(np.array([[0, 255, 255, 1]]), np.array([[0, 0, 255, 1]]), 2)
    assert matrix.missed.tolist() == [1, 0]
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]
    assert matrix.pixel_accuracy == 2 / 3
    assert matrix.iou.tolist() == [0.5, 1]
    assert matrix.class_accuracy.tolist() == [0.5, 1]


def test_anything_may_be_predicted_on_an_ignored_pixel():
    for value in (0, 7, 200, -5, 100_000):
        assert matrix_of(np.array([[value, 1]]), np.array([[255, 1]]), 2).counts.tolist() == [[0, 0], [0, 1]]


def random_pair(rng, shape, num_classes, mean_run):
    def labels(values):
        size = math.prod(shape)
        lengths = rng.geometric(1 / mean_run, size)
        return np.repeat(rng.choice(values, size), lengths)[:size].reshape(shape)

    values = [*range(num_classes), 255]
    return labels(values), labels(values)


@pytest.mark.parametrize("mean_run", [1, 6, 60])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_counts_equal_a_loop_for_every_dtype(dtype, mean_run):
    ignore = 127 if dtype == np.int8 else 255
    rng = np.random.default_rng(mean_run)
    prediction, target = random_pair(rng, (2, 13, 17), 5, mean_run)
    prediction[prediction == 255] = ignore
    target[target == 255] = ignore
    counts, missed = loop_counts(prediction, target, 5, ignore)
    matrix = matrix_of(prediction.astype(dtype), target.astype(np.int64), 5, ignore)
    assert counts.sum() > 100
    assert missed.sum() > 0
    np.testing.assert_array_equal(matrix.counts, counts)
    np.testing.assert_array_equal(matrix.missed, missed)
    np.testing.assert_allclose(matrix.iou, loop_iou(prediction, target, 5, ignore))


@pytest.mark.parametrize("num_classes", [1, 19, 255, 300])
def test_chunks_of_runs_and_of_noise_add_up(num_classes):
    rng = np.random.default_rng(num_classes)
    ignore = 255 if num_classes < 256 else -1
    target = rng.integers(0, num_classes, (600, 1100))
    target[200:480] = num_classes - 1
    prediction = np.roll(target, 3, axis=1)
    target[rng.random(target.shape) < 0.01] = ignore
    prediction[rng.random(target.shape) < 0.01] = ignore
    codes = target[target != ignore] * 1000 + prediction[target != ignore] % 1000
    values, numbers = np.unique(codes, return_counts=True)
    matrix = matrix_of(prediction, target, num_classes, ignore)
    expected = np.zeros((num_classes, 1000), int)
    expected[values // 1000, values % 1000] = numbers
    np.testing.assert_array_equal(matrix.counts, expected[:, :num_classes])
    np.testing.assert_array_equal(matrix.missed, expected[:, ignore % 1000])


def test_torch_bool_and_strided_maps_count_the_same():
    rng = np.random.default_rng(3)
    prediction, target = rng.random((5, 8)) < 0.5, rng.random((5, 8)) < 0.5
    expected = loop_counts(prediction.astype(int), target.astype(int), 2)[0]
    for kind in (torch.bool, torch.uint8, torch.int16, torch.int64):
        p, t = torch.from_numpy(prediction).to(kind), torch.from_numpy(target).to(kind)
        np.testing.assert_array_equal(matrix_of(p, t, 2).counts, expected)
        np.testing.assert_array_equal(matrix_of(p.T, t.T, 2).counts, expected)
    np.testing.assert_array_equal(matrix_of(prediction[:, ::-1], target[:, ::-1], 2).counts, expected)
    np.testing.assert_array_equal(matrix_of(np.asfortranarray(prediction), target.astype(np.int64), 2).counts, expected)


def test_inputs_are_left_alone():
    prediction, target = np.array([[0, 1]]), np.array([[1, 255]])
    matrix_of(prediction, target, 2)
    assert (prediction.tolist(), target.tolist()) == ([[0, 1]], [[1, 255]])


def test_merge_add_and_dict_round_trip():
    rng = np.random.default_rng(5)
    prediction, target = random_pair(rng, (4, 9, 9), 3, 2)
    parts = [matrix_of(p, t, 3) for p, t in zip(prediction, target, strict=True)]
    whole = parts[0]
    for part in parts[1:]:
        assert whole.merge(part) is whole
    again = ConfusionMatrix.from_dict(json.loads(json.dumps(whole.to_dict())))
    counts, missed = loop_counts(prediction, target, 3)
    np.testing.assert_array_equal(again.counts, counts)
    np.testing.assert_array_equal(again.missed, missed)
    assert again.counts.dtype == again.missed.dtype == np.int64


def test_merge_refuses_other_classes():
    with pytest.raises(UserError, match=r"\(3, 255\).*\(4, 255\)"):
        ConfusionMatrix(3).merge(ConfusionMatrix(4))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("what", ["target", "prediction"])
@pytest.mark.parametrize("value", [3, 254])
def test_label_out_of_range_is_named_and_nothing_is_counted(dtype, what, value):
    maps = {"target": np.ones((4, 4), dtype), "prediction": np.ones((4, 4), dtype)}
    maps[what][2, 1] = value
    matrix = ConfusionMatrix(3)
    with pytest.raises(UserError, match=rf"\[0, 3\).*{what}.*got {value}"):
        matrix.update(**maps)
    assert matrix.counts.sum() == 0


@pytest.mark.parametrize("value", [-1, 256, 257, 65536, -256, 2**40])
@pytest.mark.parametrize("what", ["target", "prediction"])
def test_values_that_wrap_to_a_valid_byte_are_refused(value, what):
    maps = {"target": np.zeros((4, 4), np.int64), "prediction": np.zeros((4, 4), np.int64)}
    maps[what][0, 0] = value
    with pytest.raises(UserError, match=f"{what}.*got {value}"):
        ConfusionMatrix(3).update(**maps)


@pytest.mark.parametrize("what", ["target", "prediction"])
def test_minus_one_is_not_taken_for_255(what):
    maps = {"target": np.zeros((4, 4), np.int8), "prediction": np.zeros((4, 4), np.int8)}
    maps[what][0, 0] = -1
    with pytest.raises(UserError, match=f"{what}.*got -1"):
        ConfusionMatrix(3).update(**maps)


def test_sizes_must_agree():
    with pytest.raises(UserError, match=r"\(4, 5\).*\(2, 3\).*resize the prediction"):
        ConfusionMatrix(3).update(np.zeros((2, 3), int), np.zeros((4, 5), int))


def test_scores_are_not_labels():
    with pytest.raises(UserError, match=r"prediction, got float32.*argmax"):
        ConfusionMatrix(3).update(torch.zeros(4, 5), torch.zeros(4, 5))


def test_ignored_label_must_not_be_a_class():
    with pytest.raises(UserError, match=r"outside.*got 0"):
        ConfusionMatrix(3, ignore_index=0)
    with pytest.raises(UserError, match="num_classes=0"):
        ConfusionMatrix(0)
