"""The border weight map against distances by brute force."""

import math

import numpy as np
import pytest

from perpixel.losses import border_weights


def brute_force(labels: np.ndarray, instances: np.ndarray, w0: float, sigma: float) -> np.ndarray:
    """w_c = 1; the term on background pixels, by the distance to every pixel of every instance."""
    weights = np.ones(labels.shape)
    for y, x in np.argwhere(labels == 0):
        distances = sorted(
            min(math.hypot(y - j, x - i) for j, i in np.argwhere(instances == n)) for n in set(instances.flat) - {0}
        )
        if len(distances) > 1:
            weights[y, x] += w0 * math.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    weights[labels == 255] = 0
    return weights


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("w0", "sigma"), [(10.0, 5.0), (3.0, 0.6)])
def test_equals_brute_force(seed, w0, sigma):
    random = np.random.default_rng(seed)
    instances = np.zeros((14, 17), np.int32)
    for number in (3, 7, 20, 21):  # gaps in the numbers, and instances that touch and overlap
        y, x = random.integers(0, 11, 2)
        instances[y : y + 3, x : x + 4] = number
    labels = (instances > 0).astype(np.uint8) * random.integers(1, 3)
    labels[5, :4] = 255
    weights = border_weights(labels, instances, w0, sigma, class_balance=False)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, brute_force(labels, instances, w0, sigma), rtol=1e-6)


def test_between_two_cells_by_hand():
    labels = np.array([[1, 0, 0, 1, 1]])
    # the first gap pixel is 1 from the left cell and 2 from the right one
    expected = 1 + 10 * math.exp(-(3**2) / 50)
    assert border_weights(labels, class_balance=False)[0].tolist() == pytest.approx([1, expected, expected, 1, 1])


def test_components_are_those_of_brute_force():
    labels = np.zeros((9, 12), np.int64)
    instances = np.zeros_like(labels)
    boxes = [(1, 1, np.s_[0:3, 0:3]), (2, 1, np.s_[3:6, 3:6]), (3, 2, np.s_[3:6, 6:9]), (4, 2, np.s_[6:8, 0:2])]
    for number, c, box in boxes:
        labels[box], instances[box] = c, number  # 1 and 2 meet at a corner, 2 and 3 are neighbours of two classes
    np.testing.assert_allclose(
        border_weights(labels, class_balance=False), brute_force(labels, instances, 10, 5), rtol=1e-6
    )


@pytest.mark.parametrize("cells", [0, 1])
def test_fewer_than_two_instances_leave_the_balance_alone(cells):
    labels = np.zeros((4, 5), np.int64)
    labels[1:3, 1:3] = cells
    expected = np.where(labels == 1, 20 / (2 * 4), 20 / (2 * 16)) if cells else np.ones((4, 5))
    np.testing.assert_allclose(border_weights(labels), expected)


def test_balance_leaves_ignored_pixels_out():
    labels = np.array([[0, 0, 0, 1, 255, 255]])
    assert border_weights(labels)[0].tolist() == pytest.approx([4 / 6] * 3 + [4 / 2, 0, 0])


@pytest.mark.parametrize("seed", range(6))
def test_binary_masks_with_ignored_places(seed):
    """Cells of a mask of 0 and 1, as a crop gives it: ignored padding beside it, and a cell cut in two by what is."""
    random = np.random.default_rng(seed)
    labels, instances = np.zeros((15, 18), np.uint8), np.zeros((15, 18), np.int64)
    for number, (top, left) in enumerate([(0, 0), (0, 6), (5, 1), (10, 7), (6, 12)], start=1):
        box = np.s_[top : top + random.integers(3, 5), left : left + random.integers(2, 5)]
        labels[box], instances[box] = 1, number
    labels[6, :5] = labels[:, 14:] = 255
    instances[5][instances[5] == 3] = 6  # what is left of the third cell above the ignored row
    instances[labels == 255] = 0
    found = border_weights(labels, class_balance=False)
    np.testing.assert_allclose(found, brute_force(labels, instances, 10, 5), rtol=1e-6)
    assert not found[labels == 255].any()
    assert (found[labels == 1] == 1).all()
    assert (found[labels == 0] >= 1).all()
    assert found.max() > 2


def test_all_ignored_is_zero():
    labels = np.full((3, 3), 255, np.uint8)
    assert not border_weights(labels).any()
    assert not border_weights(labels, np.eye(3, dtype=np.int64)).any()


def test_another_background_class():
    labels = np.array([[1, 0, 0, 1, 1]])
    weights = border_weights(1 - labels, class_balance=False, background=1)
    np.testing.assert_array_equal(weights, border_weights(labels, class_balance=False))


def test_an_image_all_of_instances():
    assert (
        border_weights(np.ones((2, 2), np.int64), np.array([[1, 1], [2, 2]]), class_balance=False).tolist()
        == [[1, 1]] * 2
    )


def test_instances_may_leave_no_pixel_free():
    weights = border_weights(np.zeros((1, 3), np.int64), np.array([[4, 4, 9]]), class_balance=False)
    gaps = [0 + 2, 0 + 1, 0 + 1]
    assert weights[0].tolist() == pytest.approx([1 + 10 * math.exp(-(gap**2) / 50) for gap in gaps])


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="expected labels and instances of one"):
        border_weights(np.zeros((2, 2), np.int64), np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match="sigma > 0"):
        border_weights(np.zeros((2, 2), np.int64), sigma=0)
