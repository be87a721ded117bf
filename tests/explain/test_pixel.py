"""Why this pixel: on networks that look where it is known, and the context curve where it is known what is needed."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.explain.context import context_curve, distance_to, doubling, filled, region_of
from perpixel.explain.explanation_plot import draw_explanation
from perpixel.explain.pixel import around, class_named, explain_pixel, picture_of
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy

NAMES = Taxonomy.of(["road", "sky"], colours=[(128, 64, 128), (70, 130, 180)])


class Looks(nn.Module):
    """Class 0 scores 0 everywhere, class 1 what `look` makes of the first channel."""

    def __init__(self, look: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.look = look

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        score = self.look(image[:, :1])
        return {"logits": torch.cat([torch.zeros_like(score), score], dim=1)}


def box(side: int) -> Callable[[Tensor], Tensor]:
    """The mean around each pixel, times four."""
    return lambda x: 4 * F.avg_pool2d(x, side, stride=1, padding=side // 2)


def corner(x: Tensor) -> Tensor:
    """What the upper left 10 x 10 pixels hold, everywhere."""
    return x[..., :10, :10].mean(dim=(2, 3), keepdim=True).expand_as(x)


def predictor_of(look: Callable[[Tensor], Tensor], **options: object) -> Predictor:
    steps = Preprocessing(3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), **options)  # type: ignore[arg-type]
    return Predictor(Looks(look), steps, NAMES, device="cpu")


def image_of(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_hiding_what_is_looked_at_and_nothing_else_moves_the_score() -> None:
    found = explain_pixel(predictor_of(box(5)), image_of(), (20, 33), label=1, side=3, step=1)
    rows, columns = np.indices(found.occlusion.shape)  # corners of occluders, 3 x 3 each
    near = (abs(rows + 1 - 20) <= 3) & (abs(columns + 1 - 33) <= 3)
    np.testing.assert_allclose(found.occlusion[~near], 0, atol=1e-6)
    assert (abs(found.occlusion[near]) > 1e-5).mean() > 0.9
    away = np.maximum(*abs(np.indices(found.gradient.shape) - np.reshape((20, 33), (2, 1, 1))))
    np.testing.assert_allclose(found.gradient, np.where(away <= 2, (4 / 25) ** 2, 0), rtol=1e-4)
    assert found.effective.side(1.0) == 5
    assert found.theoretical is not None and found.theoretical.size == (5, 5)


def test_a_network_that_looks_at_one_corner() -> None:
    found = explain_pixel(predictor_of(corner), image_of(), (35, 50), label=1, side=5, step=5)
    assert (abs(found.occlusion[:2, :2]) > 1e-4).all()
    found.occlusion[:2, :2] = 0
    np.testing.assert_allclose(found.occlusion, 0, atol=1e-6)
    assert np.argwhere(found.gradient).max(axis=0).tolist() == [9, 9]
    assert max(found.strongest()) < 60


def test_scores_are_those_of_the_predictor() -> None:
    predictor, image = predictor_of(box(5)), image_of()
    prediction = predictor.predict(image)
    for at in ((0, 0), (39, 59), (20, 7)):
        found = explain_pixel(predictor, image, at, side=20, step=20)
        np.testing.assert_allclose(found.scores, prediction.probabilities[:, at[0], at[1]], atol=1e-5)
        assert found.label == found.predicted == prediction.labels[at]
        assert found.region[at] and (prediction.labels[found.region] == found.predicted).all()
        np.testing.assert_array_equal(found.picture, image)


def test_the_pixel_is_found_again_at_the_size_at_which_the_network_works() -> None:
    """An image of 40 x 60 at half its size: pixels 2 and 3 become pixel 1."""
    predictor = predictor_of(box(3), short_side=20)
    for at, there in (((0, 0), (0, 0)), ((2, 3), (1, 1)), ((3, 2), (1, 1)), ((39, 59), (19, 29))):
        found = explain_pixel(predictor, image_of(), at, side=10, step=10)
        assert (found.at, found.picture.shape) == (there, (20, 30, 3))


def test_a_large_image_is_cut_around_the_pixel() -> None:
    image = torch.arange(200 * 300.0).view(1, 1, 200, 300)
    for at in ((0, 0), (199, 299), (100, 150), (60, 290)):
        part, here = around(image, at, tile=100)
        assert part.shape[-2] <= 100 and part.shape[-1] <= 100
        assert part[0, 0, here[0], here[1]] == image[0, 0, at[0], at[1]]
    same, here = around(image, (5, 6), tile=300)
    assert same is image and here == (5, 6)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
def test_the_context_that_a_box_needs_is_its_half(radius: int) -> None:
    """Of a region, a box of 2 r + 1 needs r pixels around it; with fewer its score is another one. All pixels are bright."""
    region = np.zeros((40, 50), bool)
    region[15:20, 20:30] = True
    image = torch.full((1, 3, 40, 50), 0.6)
    look = Looks(box(2 * radius + 1))
    curve = context_curve(lambda x: look(x)["logits"].softmax(1), image, region, 1, radii=range(8))
    final = 1 / (1 + math.exp(-4 * 0.6))
    for point in curve.points:
        if point.radius >= radius:
            assert point.score == pytest.approx(final, abs=1e-5)
        else:
            assert point.score < final - 1e-3
    assert curve.used == next(p.radius for p in curve.points if p.score >= final - 0.05) <= radius
    assert curve.points[-1].radius == math.inf and curve.pixels == 50


def test_the_iou_of_a_segment_does_not_count_other_things_of_its_class() -> None:
    """Two bright squares; the network calls bright pixels class 1."""
    region = np.zeros((30, 40), bool)
    region[5:10, 5:10] = True
    image = torch.full((1, 3, 30, 40), -1.0)
    image[..., 5:10, 5:10] = 1
    image[..., 20:25, 30:35] = 1
    look = Looks(box(1))
    curve = context_curve(lambda x: look(x)["logits"].softmax(1), image, region, 1)
    assert [p.iou for p in curve.points] == [1.0] * len(curve.points)
    wide = region_of(np.ones((30, 40)), (0, 0))
    assert wide.all()
    wider = region.copy()
    wider[5:10, 10:15] = True  # half of it is found
    assert context_curve(lambda x: look(x)["logits"].softmax(1), image, wider, 1).points[-1].iou == 0.5


def test_what_replaces_the_context() -> None:
    image = torch.randn(1, 3, 48, 64)
    assert not filled(image, "mean").any()
    blurred = filled(image, "blur")
    assert blurred.shape == image.shape and blurred.std() < 0.3 * image.std()
    torch.testing.assert_close(filled(torch.full((1, 3, 48, 64), 0.7), "blur"), torch.full((1, 3, 48, 64), 0.7))
    assert filled(torch.randn(1, 3, 1, 5), "blur").shape == (1, 3, 1, 5)
    with pytest.raises(UserError, match='"mean" or "blur"; got "noise"'):
        filled(image, "noise")


def test_distance_is_counted_in_rows_or_columns() -> None:
    region = np.zeros((6, 7), bool)
    region[2, 3] = True
    expected = np.maximum(abs(np.indices((6, 7))[0] - 2), abs(np.indices((6, 7))[1] - 3))
    np.testing.assert_array_equal(distance_to(region), expected)
    assert doubling(1) == [0] and doubling(0) == [0] and doubling(64) == [0, 1, 2, 4, 8, 16, 32]


def test_an_empty_region() -> None:
    with pytest.raises(UserError, match="empty"):
        context_curve(lambda x: x, torch.zeros(1, 3, 4, 4), np.zeros((4, 4), bool), 0)


@pytest.mark.parametrize(
    ("at", "label", "said"),
    [
        ((40, 0), None, "40 rows and 60 columns, counted from 0; row 40, column 0 lies outside"),
        ((0, -1), None, "lies outside"),
        ((0, 0), 2, "classes 0 to 1; there is no class 2"),
    ],
)
def test_what_is_not_there(at: tuple[int, int], label: int | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        explain_pixel(predictor_of(box(3)), image_of(), at, label)


def test_a_class_by_name_or_number() -> None:
    assert (class_named(NAMES, "sky"), class_named(NAMES, "0")) == (1, 0)
    for wrong, said in (("skye", 'Did you mean "sky"'), ("7", "It has road, sky"), ("zzz", "It has road, sky")):
        with pytest.raises(UserError, match=said):
            class_named(NAMES, wrong)


def test_the_page_is_drawn_and_one_pixel_is_enough() -> None:
    for image, at in ((image_of(), (20, 33)), (image_of(1, 1), (0, 0)), (image_of(3, 50), (2, 49))):
        found = explain_pixel(predictor_of(box(3)), image, at)
        figure = draw_explanation(found)
        figure.canvas.draw()
        assert len(figure.axes) == 7  # three pictures, two of them with a scale, scores, and the curve
        record = found.as_json()
        assert sum(record["scores"].values()) == pytest.approx(1)
        assert record["context"]["curve"][-1]["radius"] is None


def test_pictures_of_what_is_not_eight_bits() -> None:
    predictor = predictor_of(box(3))
    picture = picture_of(predictor, 100 * torch.randn(1, 3, 9, 9))
    assert picture.dtype == np.uint8 and picture.shape == (9, 9, 3) and np.ptp(picture) == 255
