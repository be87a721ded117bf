"""Nine tools' figures: the example of docs/miou.md by hand, loops over pixels, and torchmetrics where it is there."""

import numpy as np
import pytest

from perpixel.metrics import CONVENTIONS, ConfusionMatrix, ImageSums, conventions, draws

K = 4
HAND = [0.488, 0.488, np.nan, 0.732, 0.366, 0.616, 0.519, 0.671, 0.765]
"""As docs/miou.md has them; tests/metrics/test_miou_doc.py derives them from the maps on the page."""


def matrices(pairs, classes=K):
    found = []
    for truth, prediction in pairs:
        matrix = ConfusionMatrix(classes)
        matrix.update(prediction, truth)
        found.append(matrix)
    return found


def page_example():
    first = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 255, 255]])
    said = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 3, 0]])
    second, told = np.ones((4, 4), int), np.ones((4, 4), int)
    told[3, 2:] = 0, 2
    return [(first, said), (second, told)]


def cases(seed, images=5):
    """Random maps; class 2 is seldom there, class 3 never in the truth and seldom predicted."""
    rng = np.random.default_rng(seed)
    for _ in range(images):
        truth = rng.integers(0, 2 + (rng.random() < 0.4), (6, 7))
        prediction = np.where(rng.random((6, 7)) < 0.7, truth, rng.integers(0, 3 + (rng.random() < 0.3), (6, 7)))
        truth[rng.random((6, 7)) < 0.1] = 255
        yield truth, prediction


def overlap(pairs, k):
    """(intersection, union, pixels in the truth) by a loop."""
    i = u = t = 0
    for truth, prediction in pairs:
        for a, b in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
            if a != 255:
                i, u, t = i + (a == b == k), u + (k in (a, b)), t + (a == k)
    return i, u, t


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else np.nan


def by_loops(pairs):
    whole = [overlap(pairs, k) for k in range(K)]
    each = [[overlap([pair], k) for k in range(K)] for pair in pairs]
    present = mean(i / u for i, u, _ in whole if u)
    return [
        present,
        present,
        mean(i / u if u else np.nan for i, u, _ in whole),
        mean(i / u for i, u, t in whole if t),
        mean(i / u if u else 0 for i, u, _ in whole),
        mean(i / u if u else 1 for i, u, _ in whole),
        mean(mean(i / u for i, u, _ in one if u) for one in each),
        mean(mean(i / u if u else 1 for i, u, _ in one) for one in each),
        sum(i for i, _, _ in whole) / sum(u for _, u, _ in whole),
    ]


def test_the_example_of_the_page():
    figures = conventions(ImageSums.of(matrices(page_example())))
    assert list(figures) == list(CONVENTIONS)
    assert [round(float(v[0]), 3) for v in figures.values()] == pytest.approx(HAND, nan_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_against_loops(seed):
    pairs = list(cases(seed))
    figures = conventions(ImageSums.of(matrices(pairs)))
    assert [float(v[0]) for v in figures.values()] == pytest.approx(by_loops(pairs), nan_ok=True)


def test_ours_is_the_matrix_own():
    found = matrices(list(cases(7)))
    whole = ConfusionMatrix(K)
    for matrix in found:
        whole.merge(matrix)
    assert conventions(ImageSums.of(found))["perpixel, cityscapesScripts"][0] == pytest.approx(whole.mean_iou)


def test_a_draw_is_the_figure_of_the_images_in_it():
    pairs = list(cases(3))
    weights = draws(range(len(pairs)), count=20)
    figures = conventions(ImageSums.of(matrices(pairs)), weights)
    for r, row in enumerate(weights):
        drawn = [pair for pair, times in zip(pairs, row, strict=True) for _ in range(times)]
        assert [float(v[r]) for v in figures.values()] == pytest.approx(by_loops(drawn), nan_ok=True)


def test_an_image_without_a_valid_pixel_has_no_part():
    pairs = [*cases(4), (np.full((3, 3), 255), np.zeros((3, 3), int))]
    figures = conventions(ImageSums.of(matrices(pairs)))
    assert figures["mean over images"][0] == pytest.approx(by_loops(pairs[:-1])[6])


@pytest.mark.parametrize(("average", "name"), [("macro", "mmsegmentation, torchmetrics macro"), ("micro", None)])
def test_torchmetrics(average, name):
    classification = pytest.importorskip("torchmetrics.classification", reason="bench extra")
    torch = pytest.importorskip("torch")
    metric = classification.MulticlassJaccardIndex(K, average=average, ignore_index=255)
    pairs = list(cases(5))
    for truth, prediction in pairs:
        metric.update(torch.from_numpy(prediction), torch.from_numpy(truth))
    name = name or next(n for n in CONVENTIONS if n.startswith("micro"))
    assert float(metric.compute()) == pytest.approx(float(conventions(ImageSums.of(matrices(pairs)))[name][0]))
