"""Dice against sums by hand and by loops."""

import pytest
import torch

from perpixel.losses import Dice

P = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.3, 0.7, 0.0]], dtype=torch.float64)


def row(labels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Four pixels with the probabilities P (nearly: a zero is 1e-12)."""
    return P.clamp_min(1e-12).log().T[None, :, None, :], torch.tensor(labels)[None, None]


def test_by_hand():
    logits, target = row([0, 0, 1, 255])
    # class 0: I = 1.5, P = 1.7, T = 2; class 1: I = 0.8, P = 1.3, T = 1; class 2 is absent
    expected = ((1 - (3 + 1) / (3.7 + 1)) + (1 - (1.6 + 1) / (2.3 + 1))) / 2
    assert Dice()(logits, target).item() == pytest.approx(expected)


def test_eps_and_absent_classes_by_hand():
    logits, target = row([0, 0, 0, 0])
    # class 0: I = P = 2, T = 4; class 1: P = 2, T = 0; class 2: nothing, a perfect 0
    zero, one = 1 - (4 + 0.5) / (6 + 0.5), 1 - 0.5 / 2.5
    assert Dice(eps=0.5)(logits, target).item() == pytest.approx(zero)
    assert Dice(eps=0.5, present_only=False)(logits, target).item() == pytest.approx((zero + one + 0) / 3)


def test_sums_run_over_the_batch_not_the_image():
    logits, target = row([0, 0, 1, 1])
    halves = logits.reshape(1, 3, 2, 2).permute(2, 1, 0, 3), target.reshape(2, 1, 2)
    torch.testing.assert_close(Dice()(*halves), Dice()(logits, target))


def test_pixel_weight_two_is_the_pixel_twice():
    logits, target = row([0, 0, 1, 1])
    weights = torch.tensor([[[1.0, 2.0, 1.0, 0.0]]])
    twice = [0, 1, 1, 2]
    torch.testing.assert_close(Dice()(logits, target, weights), Dice()(logits[..., twice], target[..., twice]))


def test_eps_must_be_positive():
    with pytest.raises(ValueError, match="eps"):
        Dice(eps=0.0)
