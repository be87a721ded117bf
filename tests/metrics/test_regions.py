"""Kinds of errors, against counts made by hand, a slow way to the same, and the confusion matrix they must add up to."""

import numpy as np
import pytest
from scipy import ndimage

from perpixel.core.errors import UserError
from perpixel.metrics import KINDS, ConfusionMatrix, CoOccurrence, ErrorCounts, components, image_errors
from perpixel.metrics.error_counts import SIDES, size_of
from perpixel.metrics.regions import BOUNDARY, FOUND, INCONSPICUOUS, LEFT, MISMATCHED, SMALL

K = 5


def counted(errors, num_classes=K):
    counts = ErrorCounts(num_classes)
    counts.add(errors)
    return counts


def totals(counts):
    return {kind: int(table.sum()) for kind, table in counts.by_kind().items() if table.any()}


def blobs(rng, shape=(30, 40), classes=K, ignored=0.1):
    """Blocks of 2 to 9 pixels a side in a random order, and some ignored ones."""
    labels = np.full(shape, int(rng.integers(classes)))
    for _ in range(40):
        top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        height, width = rng.integers(1, 9, 2)
        value = 255 if rng.random() < ignored else int(rng.integers(classes))
        labels[top : top + height, left : left + width] = value
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_components_are_those_of_scipy_class_by_class(seed):
    labels = blobs(np.random.default_rng(seed))
    regions, count = components(labels)
    expected, first = np.zeros(labels.shape, int), 0
    for k in np.unique(labels):
        found, n = ndimage.label(labels == k)
        expected[found > 0] = found[found > 0] + first
        first += n
    assert count == first == len(np.unique(regions)) == regions.max() + 1
    assert len(np.unique(regions.astype(np.int64) * 10_000 + expected)) == count  # one to one


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (1, 7), (7, 1)])
def test_components_of_thin_maps(shape):
    regions, count = components(np.zeros(shape, np.uint8))
    assert (regions.shape, count) == (shape, int(regions.size > 0))
    assert components(np.arange(regions.size).reshape(shape))[1] == regions.size


def test_a_border_that_lies_elsewhere_is_told_by_its_distance():
    truth = np.repeat([[0] * 20 + [1] * 20], 8, axis=0)
    prediction = np.repeat([[0] * 15 + [1] * 25], 8, axis=0)  # 5 pixels too far left
    errors = image_errors(prediction, truth)
    counts = counted(errors)
    assert counts.distances.tolist() == [0, 8, 8, 8]  # columns 19, 18, 17
    # columns 15 and 16 are further off; 16 of the 160 pixels of class 0 are a tenth: look-alikes
    assert totals(counts) == {"boundary": 24, "confused": 16}
    assert counts.ranked()[0].pixels == 16
    assert counts.ranked()[0].share == pytest.approx(0.1)


def test_two_classes_are_alike_from_one_pixel_in_a_hundred():
    truth, prediction = np.zeros((10, 20), int), np.zeros((10, 20), int)
    prediction[0, :1] = 1  # 1 of 200, and no 1 is near
    assert totals(counted(image_errors(prediction, truth))) == {"rest": 1}
    prediction[0, :2] = 1
    assert totals(counted(image_errors(prediction, truth))) == {"confused": 2}


def test_two_classes_are_alike_in_both_directions_from_one():
    truth, prediction = np.zeros((40, 60), int), np.zeros((40, 60), int)
    truth[:20, :20] = prediction[:20, :20] = 1  # 400 of class 1, 2000 of class 0
    prediction[5, 5:10] = 0  # 5 of 400 are above 1 %, and make the pair
    prediction[30, 30:40] = 1  # 10 of 2000 are below
    counts = counted(image_errors(prediction, truth))
    assert totals(counts) == {"confused": 15}
    assert [(pair.truth, pair.predicted, pair.pixels) for pair in counts.ranked()] == [(0, 1, 10), (1, 0, 5)]


def scene_with_object(side, missing, size=60):
    truth = np.zeros((size, size), int)
    truth[20 : 20 + side, 20 : 20 + side] = 1
    prediction = truth.copy()
    prediction.ravel()[np.flatnonzero(truth)[:missing]] = 2
    return prediction, truth


def test_a_small_object_that_is_missed_is_inconspicuous():
    # 3600 pixels: up to 12 are small. Of 9 pixels, 5 missed is more than half
    assert totals(counted(image_errors(*scene_with_object(3, 5)))) == {"inconspicuous": 5}
    assert totals(counted(image_errors(*scene_with_object(3, 4)))) == {"confused": 4}
    assert totals(counted(image_errors(*scene_with_object(4, 9)))) == {"confused": 9}  # 16 pixels: not small


def test_a_faint_object_that_is_missed_is_inconspicuous():
    prediction, truth = scene_with_object(10, 60)
    image = np.zeros((60, 60, 3))
    image[:, :40] = 100.0  # half-way over, so that the standard deviation is 47.1
    image[truth == 1] = 100.0 - 10.0
    errors = image_errors(prediction, truth, image=image)
    spread = np.sqrt(image.reshape(-1, 3).var(axis=0).mean())
    contrast = errors.objects.contrast[errors.owner[0]]
    assert contrast == pytest.approx(10 / spread)
    assert totals(counted(errors)) == {"inconspicuous": 60}
    image[truth == 1] = 0.0
    errors = image_errors(prediction, truth, image=image)
    assert totals(counted(errors)) == {"confused": 60}
    assert np.isnan(errors.objects.contrast[errors.objects.label == 0]).all()  # found: nobody asked


def test_what_is_strange_to_the_scene_is_mismatched():
    seen = CoOccurrence(K)
    for _ in range(30):
        seen.update(np.array([[0, 1, 255]]))
        seen.update(np.array([[2, 3]]))
    assert (seen.images, seen.together[0, 1], seen.together[0, 2], seen.together[3, 3]) == (60, 30, 0, 30)
    only_0 = np.arange(K) == 0
    assert seen.strange(only_0).tolist() == [False, False, True, True, False]  # 4 was never seen: nothing is known
    assert not seen.strange(np.arange(K) == 4).any()
    truth, prediction = np.zeros((10, 10), int), np.zeros((10, 10), int)
    prediction[2, 2:5], prediction[6, 2:8] = 2, 1
    counts = counted(image_errors(prediction, truth, seen.strange(only_0)))
    assert totals(counts) == {"mismatched": 3, "confused": 6}


@pytest.mark.parametrize(("together", "strange"), [(0, True), (4, True), (5, False)])
def test_hardly_ever_is_less_than_a_tenth_of_chance(together, strange):
    seen = CoOccurrence(2)  # 100 images of 0, 100 of 1, of 200: chance has 50 together
    for i in range(200):
        seen.update(np.array([[0] * (i < 100) + [1] * (i >= 100 - together and i < 200 - together)]))
    assert seen.together.tolist() == [[100, together], [together, 100]]
    assert seen.strange(np.array([True, False])).tolist() == [False, strange]


def test_too_few_images_say_nothing():
    seen = CoOccurrence(2)
    for i in range(16):
        seen.update(np.array([[i % 2]]))  # chance would have 4 images with both
    assert not seen.strange(np.array([True, False])).any()


def slow_kinds(prediction, truth, strange, border):
    """The definitions of the docstring, pixel by pixel, without the contrast."""
    found = {}
    for y, x in np.argwhere((truth != 255) & (prediction != truth)):
        region = ndimage.label(truth == truth[y, x])[0]
        mine = region == region[y, x]
        right = (prediction[mine] == truth[mine]).sum()
        window = truth[max(y - border, 0) : y + border + 1, max(x - border, 0) : x + border + 1]
        p = prediction[y, x]
        if p != 255 and strange[p]:
            found[y, x] = MISMATCHED
        elif right < FOUND * mine.sum() and mine.sum() <= SMALL * truth.size:
            found[y, x] = INCONSPICUOUS
        elif p != 255 and border and (window == p).any():
            found[y, x] = BOUNDARY
        else:
            found[y, x] = LEFT
    return found


def test_random_maps_against_the_slow_way():
    seen = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        truth = blobs(rng)
        prediction = np.where(rng.random(truth.shape) < 0.7, truth, blobs(rng))
        prediction[truth == 255] = rng.integers(K)
        strange, border = rng.random(K) < 0.2, int(rng.integers(0, 4))
        errors = image_errors(prediction, truth, strange, border=border)
        slow, width = slow_kinds(prediction, truth, strange, border), truth.shape[1]
        ours = {(p // width, p % width): k for p, k in zip(errors.place.tolist(), errors.kind, strict=True)}
        assert ours == slow
        seen |= set(slow.values())
    assert seen == {MISMATCHED, INCONSPICUOUS, BOUNDARY, LEFT}


@pytest.mark.parametrize("seed", range(20))
def test_the_kinds_are_disjoint_and_add_up_to_all_wrong_pixels(seed):
    rng = np.random.default_rng(100 + seed)
    counts, matrix = ErrorCounts(K), ConfusionMatrix(K)
    for _ in range(3):
        truth = blobs(rng, ignored=0.3)
        prediction = np.where(rng.random(truth.shape) < 0.6, truth, blobs(rng))
        image = rng.random((*truth.shape, 3))
        counts.add(image_errors(prediction, truth, rng.random(K) < 0.2, image))
        matrix.update(prediction, truth)
    wrong = matrix.truth_pixels - np.diag(matrix.counts)
    kinds = counts.by_kind()
    assert tuple(kinds) == KINDS
    assert sum(table.sum(axis=0) for table in kinds.values()).tolist() == wrong.tolist()
    pairs = counts.pairs.sum(axis=(0, 1))
    assert pairs[:, :K].tolist() == (matrix.counts - np.diag(np.diag(matrix.counts))).tolist()
    assert pairs[:, K].tolist() == matrix.missed.tolist()
    assert counts.valid == matrix.truth_pixels.sum()
    assert counts.pixels.tolist() == matrix.truth_pixels.tolist()
    assert counts.distances.sum() == kinds["boundary"].sum()


def test_objects_are_counted_by_size_and_class():
    truth = np.zeros((100, 100), int)
    truth[:8, :8] = 1  # 64 pixels
    truth[:8, 20:29] = 1  # 72
    truth[50:, 50:] = 255
    prediction = truth.copy()
    prediction[:8, :8] = 0
    counts = counted(image_errors(prediction, truth), 2)
    assert counts.objects[:, 1].tolist() == [1, 1, 0, 0, 0, 0]
    assert counts.missed[:, 1].tolist() == [1, 0, 0, 0, 0, 0]
    assert counts.object_pixels[:, 1].tolist() == [64, 72, 0, 0, 0, 0]
    assert counts.objects[:, 0].tolist() == [0, 0, 0, 0, 1, 0]  # 7364 pixels, a square of 86
    assert len(SIDES) == 5
    assert size_of(np.array([16384, 16385])).tolist() == [4, 5]


def test_nothing_valid_is_nothing_wrong():
    counts = counted(image_errors(np.zeros((4, 4), int), np.full((4, 4), 255)))
    assert (totals(counts), counts.valid, counts.objects.sum()) == ({}, 0, 0)


def test_errors():
    with pytest.raises(UserError, match=r"size \(4, 4\)"):
        image_errors(np.zeros((4, 5), int), np.zeros((4, 4), int))
    with pytest.raises(UserError, match="argmax"):
        image_errors(np.zeros((4, 4)), np.zeros((4, 4), int))
