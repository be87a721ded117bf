"""Class weights against published and hand-made numbers."""

import math

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.losses import WEIGHT_RULES, class_weights

PIXELS, IMAGE_PIXELS = [600, 300, 0, 100], [1000, 500, 0, 400]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("none", [1, 1, 1, 1]),
        # frequencies 0.6, 0.6, -, 0.25: the median of the three is 0.6
        ("median_frequency", [1, 1, 1, 0.6 / 0.25]),
        ("enet", [1 / math.log(1.62), 1 / math.log(1.32), 1, 1 / math.log(1.12)]),
        (
            "inverse_sqrt",
            [
                w / (math.sqrt(0.6) + math.sqrt(0.3) + math.sqrt(0.1)) if w else 1
                for w in (0.6**-0.5, 0.3**-0.5, 0, 0.1**-0.5)
            ],
        ),
    ],
)
def test_by_hand(rule, expected):
    weights = class_weights(rule, torch.tensor(PIXELS), IMAGE_PIXELS)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float32))


def test_every_rule_is_finite_with_no_pixel_at_all():
    assert len(WEIGHT_RULES) == 4
    for rule in WEIGHT_RULES:
        assert class_weights(rule, [0, 0], [0, 0]).tolist() == [1, 1]


def test_inverse_sqrt_has_a_pixel_weighted_mean_of_one():
    weights = class_weights("inverse_sqrt", PIXELS, IMAGE_PIXELS)
    assert (weights * torch.tensor(PIXELS)).sum().item() / 1000 == pytest.approx(1)


def test_enet_spans_the_paper_s_interval():
    low, high = class_weights("enet", [10**9, 1], [10**9, 10**9]).tolist()
    assert (low, high) == (pytest.approx(1.42, abs=0.01), pytest.approx(50.5, abs=0.1))


@pytest.mark.parametrize("c", [1.02, 1.10, 1.2])
def test_enet_with_another_constant(c):
    found = class_weights("enet", [600, 300, 100], [1000] * 3, c=c).tolist()
    assert found == pytest.approx([1 / math.log(c + 0.6), 1 / math.log(c + 0.3), 1 / math.log(c + 0.1)])


@pytest.mark.parametrize("c", [1.0, 0.5, -1.0, math.nan])
def test_a_constant_that_gives_no_weights_is_refused(c):
    with pytest.raises(UserError, match="must be above 1"):
        class_weights("enet", [5, 5], [10, 10], c=c)


def test_median_of_an_even_number_of_classes_is_between():
    assert class_weights("median_frequency", [10, 40], [100, 100]).tolist() == pytest.approx([2.5, 0.625])


def test_given_weights_are_taken():
    assert class_weights([1, 2.5, 0, 4], PIXELS, IMAGE_PIXELS).tolist() == [1, 2.5, 0, 4]


@pytest.mark.parametrize("given", [[1.0, 2.0], [1.0, 1.0, 1.0, -1.0], [1.0, 1.0, 1.0, math.inf], [1.0, math.nan, 1, 1]])
def test_wrong_weights_are_refused(given):
    with pytest.raises(UserError, match="class weights must be 4 finite numbers"):
        class_weights(given, PIXELS, IMAGE_PIXELS)


def test_a_wrong_rule_names_the_nearest():
    with pytest.raises(UserError, match=r'"median_freq".*Did you mean "median_frequency"'):
        class_weights("median_freq", PIXELS, IMAGE_PIXELS)
