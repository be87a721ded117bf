"""What each loss of the catalogue has to hold to."""

import pytest
import torch
from torch import nn

from perpixel.losses import LOSSES, Lovasz

CASES: list[tuple[str, dict[str, object]]] = [
    ("cross_entropy", {}),
    ("cross_entropy", {"reduction": "valid", "class_weights": [0.5, 1.0, 2.0]}),
    ("cross_entropy", {"reduction": "sum", "label_smoothing": 0.1}),
    ("cross_entropy", {"label_smoothing": 0.1, "class_weights": [0.5, 1.0, 2.0]}),
    ("ohem", {}),
    ("ohem", {"min_kept": 3, "threshold": 0.1, "class_weights": [0.5, 1.0, 2.0]}),
    ("dice", {}),
    ("dice", {"present_only": False}),
    ("lovasz", {}),
    ("lovasz", {"per_image": True}),
]
each = pytest.mark.parametrize(("name", "options"), CASES)


def build(name: str, options: dict[str, object]) -> nn.Module:
    return LOSSES[name](**options)


def scene(batch: int = 2, height: int = 5, width: int = 4, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 3, height, width, generator=generator, dtype=dtype).requires_grad_()
    return logits, torch.randint(0, 3, (batch, height, width), generator=generator)


def test_every_loss_has_a_case():
    assert {name for name, _ in CASES} == set(LOSSES)
    assert len(LOSSES) == 4


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_all_ignored_is_zero_with_a_zero_gradient(name, options, weighted):
    logits, target = scene()
    loss = build(name, options)(logits, torch.full_like(target, 255), torch.ones(target.shape) if weighted else None)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@each
def test_all_weights_zero_is_zero_with_a_zero_gradient(name, options):
    logits, target = scene()
    loss = build(name, options)(logits, target, torch.zeros(target.shape))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@each
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 5, 4), (3, 1, 1)])
def test_small_batches_and_images(name, options, size):
    logits, target = scene(*size)
    loss = build(name, options)(logits, target)
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_numerical_one(name, options, weighted):
    logits, target = scene(dtype=torch.float64)
    target[0, 0, :2] = 255
    weights = torch.linspace(0.5, 2, target.numel(), dtype=torch.float64).reshape(target.shape) if weighted else None
    assert torch.autograd.gradcheck(lambda x: build(name, options)(x, target, weights), logits)


@each
def test_ignored_pixels_do_not_matter(name, options):
    logits, target = scene()
    target[0, :2] = 255
    weights = torch.ones(target.shape)
    expected = build(name, options)(logits, target, weights)
    weights[0, :2] = torch.nan
    changed = logits.detach().clone()
    changed[0, :, :2] = 7.0
    assert torch.equal(build(name, options)(changed, target, weights), expected)
    logits.grad = None
    build(name, options)(logits, target).backward()
    assert torch.equal(logits.grad[0, :, :2], torch.zeros(3, 2, 4))
    assert logits.grad.any()


@each
def test_another_ignore_index(name, options):
    logits, target = scene()
    target[0, :2] = 255
    expected = build(name, options)(logits, target)
    assert torch.equal(
        build(name, {**options, "ignore_index": -1})(logits, target.masked_fill(target == 255, -1)), expected
    )


@each
def test_uint8_targets_and_channels_last_give_the_same(name, options):
    logits, target = scene()
    target[0, 0, 0] = 255
    expected = build(name, options)(logits, target)
    other = build(name, options)(logits.contiguous(memory_format=torch.channels_last), target.to(torch.uint8))
    torch.testing.assert_close(other, expected)


@each
def test_computes_in_float32_under_autocast(name, options):
    logits, target = scene()
    half = logits.detach().bfloat16().requires_grad_()
    expected = build(name, options)(half.detach().float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        loss = build(name, options)(half, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert half.grad.dtype == torch.bfloat16


@each
def test_unit_pixel_weights_change_nothing(name, options):
    logits, target = scene()
    target[0, 0, 0] = 255
    loss = build(name, options)
    torch.testing.assert_close(loss(logits, target, torch.ones(target.shape)), loss(logits, target))


@each
def test_descending_lowers_it(name, options):
    logits, target = scene()
    loss = build(name, options)
    before = loss(logits, target)
    before.backward()
    assert loss(logits - 0.01 * logits.grad, target) < before


@each
def test_wrong_shapes_are_refused(name, options):
    logits, target = scene()
    loss = build(name, options)
    with pytest.raises(ValueError, match=r"expected logits \(B, K, H, W\).*\(2, 3, 5, 4\) and \(2, 4, 4\)"):
        loss(logits, target[:, :4])
    with pytest.raises(ValueError, match=r"expected pixel_weights \(2, 5, 4\), got \(5, 4\)"):
        loss(logits, target, torch.ones(5, 4))


def test_a_loss_keeps_no_state_in_checkpoints():
    assert len(CASES) == 10
    for name, options in CASES:
        assert build(name, options).state_dict() == {}


def test_per_image_differs_from_the_batch():
    logits, target = scene()
    assert Lovasz(per_image=True)(logits, target) != Lovasz()(logits, target)
