"""The side of the field on a user's image, by hand."""

import pytest
from torch import nn

from perpixel.bundle.preprocessing import Preprocessing
from perpixel.explain.fields import field_side


def working_at(short_side: int | None, scale: float) -> Preprocessing:
    return Preprocessing(3, (0.5,) * 3, (0.2,) * 3, short_side, scale)


def test_the_side_is_that_of_a_square_of_the_same_area() -> None:
    assert field_side(nn.Conv2d(3, 2, (3, 12)), working_at(None, 1.0), (40, 60)) == 6


@pytest.mark.parametrize(("short_side", "scale", "side"), [(20, 1.0, 12), (20, 1.5, 8), (None, 2.0, 3)])
def test_the_side_is_in_pixels_of_the_image(short_side: int | None, scale: float, side: float) -> None:
    found = field_side(nn.Conv2d(3, 2, (3, 12)), working_at(short_side, scale), (60, 40))
    assert found == pytest.approx(side)


def test_a_field_of_the_whole_image_has_no_side() -> None:
    assert field_side(nn.AdaptiveAvgPool2d(1), working_at(None, 1.0), (40, 60)) is None
