"""The label ceiling, against every shift of the map by brute force."""

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.metrics import LabelCeiling


def brute(maps, k, d):
    """(pixels, in, out) of a class, by moving each map by every step of up to d pixels and looking what meets."""
    n = inside = outside = 0
    for labels in maps:
        wide = np.pad(labels, d, constant_values=255)
        steps = range(2 * d + 1)
        shifted = [wide[y : y + labels.shape[0], x : x + labels.shape[1]] for y in steps for x in steps]
        near = np.any([s == k for s in shifted], axis=0)
        near_other = np.any([(s != k) & (s != 255) for s in shifted], axis=0)
        n += (labels == k).sum()
        inside += ((labels == k) & near_other).sum()
        outside += ((labels != k) & (labels != 255) & near).sum()
    return n, inside, outside


@pytest.mark.parametrize("classes", [3, 40])  # 40 do not fit into one word
@pytest.mark.parametrize("seed", range(3))
def test_against_brute_force(classes, seed):
    rng = np.random.default_rng(seed)
    maps = [np.kron(rng.integers(0, classes - 1, (4, 5)), np.ones((5, 4), int)) for _ in range(2)]
    for labels in maps:
        labels[rng.random(labels.shape) < 0.05] = 255
    ceiling = LabelCeiling(classes, widths=(1, 3))
    for labels in maps:
        ceiling.update(labels.astype(np.uint8))
    for row, d in enumerate((1, 3)):
        for k in range(classes):
            n, inside, outside = brute(maps, k, d)
            if not n:
                assert np.isnan(ceiling.iou[row, k])
                continue
            assert ceiling.grown[row, k] == n / (n + outside)
            assert ceiling.shrunk[row, k] == (n - inside) / n
            assert ceiling.iou[row, k] == pytest.approx((n / (n + outside) + (n - inside) / n) / 2)


def test_a_pole_of_three_pixels_has_half_a_ceiling():
    labels = np.zeros((50, 40), int)
    labels[:, 20:23] = 1
    ceiling = LabelCeiling(2)
    ceiling.update(labels)
    assert ceiling.grown[:, 1] == pytest.approx([3 / 5, 3 / 7, 3 / 9])
    assert ceiling.shrunk[:, 1] == pytest.approx([1 / 3, 0, 0])
    assert ceiling.mean_iou[0] == pytest.approx(np.mean([(37 / 39 + 35 / 37) / 2, (3 / 5 + 1 / 3) / 2]))


def test_ignored_pixels_and_the_edge_are_no_border():
    ceiling = LabelCeiling(2)
    ceiling.update(np.array([[0, 0, 0, 255, 255, 255, 255, 1, 1, 1]]))
    assert ceiling.iou.tolist() == [[1.0, 1.0]] * 3


@pytest.mark.parametrize("widths", [(), (0, 1), (2, 1), (1, 1)])
def test_errors(widths):
    with pytest.raises(UserError, match="rising distances"):
        LabelCeiling(2, widths)
