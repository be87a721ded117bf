"""The Lovász extension against its definition: Jaccard losses of growing sets of wrong pixels."""

import pytest
import torch

from perpixel.losses import Lovasz


def jaccard_loss(wrong: set[int], truth: set[int]) -> float:
    """1 - |truth and prediction| / |truth or prediction| when exactly these pixels are wrong."""
    return 1 - len(truth - wrong) / len(truth | wrong)


def by_definition(logits: torch.Tensor, target: torch.Tensor) -> float:
    probabilities = logits.double().softmax(1).movedim(1, -1)[target != 255]  # N,K
    labels = target[target != 255].tolist()
    losses = []
    for c in sorted(set(labels)):
        truth = {i for i, label in enumerate(labels) if label == c}
        errors = [1 - float(p[c]) if i in truth else float(p[c]) for i, p in enumerate(probabilities)]
        wrong: set[int] = set()
        total, before = 0.0, 0.0
        for i in sorted(range(len(errors)), key=lambda i: -errors[i]):
            wrong.add(i)
            now = jaccard_loss(wrong, truth)
            total += errors[i] * (now - before)
            before = now
        losses.append(total)
    return sum(losses) / len(losses)


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)  # class 3 is absent
    target[1, :2, :3] = 255
    return 2 * torch.randn(2, 4, 4, 5, generator=generator), target


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_definition(seed):
    logits, target = scene(seed)
    assert Lovasz()(logits, target).item() == pytest.approx(by_definition(logits, target), rel=1e-5)


def test_a_class_under_ignored_pixels_only_is_absent():
    logits, target = scene(2)
    target[target == 0] = 1
    target[0, 1] = 255
    assert 0 not in target
    assert Lovasz()(logits, target).item() == pytest.approx(by_definition(logits, target), rel=1e-5)


def test_per_image_averages_images_with_a_valid_pixel():
    logits, target = scene(0)
    each = [by_definition(logits[i : i + 1], target[i : i + 1]) for i in range(2)]
    assert Lovasz(per_image=True)(logits, target).item() == pytest.approx(sum(each) / 2, rel=1e-5)
    target[1] = 255
    assert Lovasz(per_image=True)(logits, target).item() == pytest.approx(each[0], rel=1e-5)


def test_hard_predictions_give_the_jaccard_loss():
    target = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    prediction = torch.tensor([0, 0, 1, 1, 1, 0])
    logits = 100.0 * torch.nn.functional.one_hot(prediction, 2).T[None, :, None, :].float()
    assert Lovasz()(logits, target).item() == pytest.approx(1 - 2 / 4)  # each class: 2 common of 4


def test_pixel_weight_two_is_the_pixel_twice():
    logits, target = scene(1)
    logits, target = logits[:1, :, :1], target[:1, :1]
    weights = torch.tensor([[[1.0, 2.0, 1.0, 0.0, 3.0]]])
    copies = [0, 1, 1, 2, 4, 4, 4]
    expected = by_definition(logits[..., copies], target[..., copies])
    assert Lovasz()(logits, target, weights).item() == pytest.approx(expected, rel=1e-5)


def test_a_large_image_keeps_its_precision():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 700, 700, generator=generator)
    target = (torch.rand(1, 700, 700, generator=generator) < 0.3).long()
    assert Lovasz()(logits, target).item() == pytest.approx(Lovasz()(logits.double(), target).item(), rel=1e-5)
