"""The presence loss against a loop, and what every loss has to hold to."""

import math

import pytest
import torch

from perpixel.losses import Presence, class_presence


def scene(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Three images of four classes: one of all but class 3, one of class 1 alone, one ignored."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (3, 5, 4), generator=generator)
    target[0, 0] = 255
    target[1] = 1
    target[1, 4, 3] = 255
    target[2] = 255
    return torch.randn(3, 4, generator=generator, dtype=dtype).requires_grad_(), target


def loop(scores: torch.Tensor, target: torch.Tensor) -> float:
    total, count = 0.0, 0
    for image_scores, labels in zip(scores.tolist(), target.tolist(), strict=True):
        found = {label for row in labels for label in row} - {255}
        for c, score in enumerate(image_scores if found else []):
            probability = 1 / (1 + math.exp(-score))
            total -= math.log(probability if c in found else 1 - probability)
            count += 1
    return total / count


def test_equals_a_loop() -> None:
    scores, target = scene()
    assert [sorted(set(x.flatten().tolist())) for x in target] == [[0, 1, 2, 255], [1, 255], [255]]
    assert Presence()(scores, target).item() == pytest.approx(loop(scores, target), rel=1e-5)
    assert class_presence(target, 4).int().tolist() == [[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_one_pixel_counts_as_many_do() -> None:
    scores, target = scene()
    expected = Presence()(scores, target)
    target[0] = 0
    target[0, 0, 0], target[0, 4, 3] = 1, 2
    assert torch.equal(Presence()(scores, target), expected)


def test_an_ignored_image_has_no_say() -> None:
    scores, target = scene()
    Presence()(scores, target).backward()
    assert scores.grad is not None
    assert not scores.grad[2].any()
    assert scores.grad[:2].all()
    torch.testing.assert_close(Presence()(scores, target), Presence()(scores[:2], target[:2]))


def test_all_ignored_is_zero_with_a_zero_gradient() -> None:
    scores, target = scene()
    loss = Presence()(scores, torch.full_like(target, 255))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_gradient_is_the_numerical_one() -> None:
    scores, target = scene(torch.float64)
    assert torch.autograd.gradcheck(lambda x: Presence()(x, target), scores)


def test_stays_finite_for_sure_scores() -> None:
    scores = torch.tensor([[1000.0, -1000.0]], requires_grad=True)
    loss = Presence()(scores, torch.ones(1, 1, 1, dtype=torch.int64))  # wrong twice
    loss.backward()
    assert loss.item() == 1000.0
    assert scores.grad.tolist() == [[0.5, -0.5]]


def test_another_ignore_index_and_uint8_targets() -> None:
    scores, target = scene()
    expected = Presence()(scores, target)
    assert torch.equal(Presence(-1)(scores, target.masked_fill(target == 255, -1)), expected)
    assert torch.equal(Presence()(scores, target.to(torch.uint8)), expected)


def test_computes_in_float32_under_autocast() -> None:
    scores, target = scene()
    half = scores.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = Presence()(half, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, Presence()(half.detach().float(), target))
    assert half.grad.dtype == torch.bfloat16


def test_wrong_shapes_are_refused() -> None:
    scores, target = scene()
    with pytest.raises(ValueError, match=r"expected presence \(B, K\).*\(3, 4\) and \(2, 5, 4\)"):
        Presence()(scores, target[:2])
    with pytest.raises(ValueError, match=r"expected presence \(B, K\)"):
        Presence()(scores[..., None], target)
    with pytest.raises((IndexError, RuntimeError)):
        Presence()(scores, torch.full_like(target, 7))


def test_keeps_no_state_in_checkpoints() -> None:
    assert Presence().state_dict() == {}
