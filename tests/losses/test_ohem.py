"""OHEM against a plain sort in numpy, as HRNet's code states it."""

import numpy as np
import pytest
import torch

from perpixel.losses import OhemCrossEntropy


def by_sorting(logits, target, threshold, min_kept, class_weights) -> tuple[float, int]:
    scores = np.moveaxis(logits.double().numpy(), 1, -1)[target.numpy() != 255]
    labels = target.numpy()[target.numpy() != 255]
    exponents = np.exp(scores)
    p = (exponents / exponents.sum(1, keepdims=True))[np.arange(len(labels)), labels]
    limit = max(threshold, np.sort(p)[min(min_kept, len(p) - 1)])
    hard = p < limit - 1e-9  # the limit is one of the p: keep it out in float64, too
    losses = -np.log(p) * np.asarray(class_weights)[labels]
    return float(losses[hard].sum() / max(hard.sum(), 1)), int(hard.sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.7, 1.0])
@pytest.mark.parametrize("min_kept", [0, 1, 7, 60, 107, 108, 10_000])
def test_equals_a_plain_sort(seed, threshold, min_kept):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 4, 6, 10, generator=generator)
    target = torch.randint(0, 4, (2, 6, 10), generator=generator)
    target[0, 0] = 255
    target[1, :2, 0] = 255
    weights = [1.0, 2.0, 0.5, 1.5]
    expected, kept = by_sorting(logits, target, threshold, min_kept, weights)
    assert kept >= min(min_kept, 107)  # of 108 valid pixels
    loss = OhemCrossEntropy(threshold, min_kept, weights)(logits, target)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def two_class(probabilities: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """One row of pixels, all of class 0 with these probabilities."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([p.log(), (1 - p).log()])[None, :, None, :], torch.zeros(1, 1, len(p), dtype=torch.int64)


@pytest.mark.parametrize(
    ("min_kept", "kept"),
    [
        (0, [0.1, 0.3]),  # all below 0.5
        (2, [0.1, 0.3]),  # p[2] = 0.6 is the limit, itself left out
        (3, [0.1, 0.3, 0.6]),
        (9, [0.1, 0.3, 0.6]),  # more than there are: the easiest is left out
    ],
)
def test_by_hand(min_kept, kept):
    logits, target = two_class([0.8, 0.1, 0.6, 0.3])
    expected = -np.log(kept).mean()
    assert OhemCrossEntropy(0.5, min_kept)(logits, target).item() == pytest.approx(expected)


def test_one_easy_pixel_gives_zero_not_nan():
    logits, target = two_class([0.9])
    logits.requires_grad_()
    loss = OhemCrossEntropy(0.7)(logits, target)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_easy_pixels_get_no_gradient():
    logits, target = two_class([0.8, 0.1, 0.6, 0.3])
    logits.requires_grad_()
    OhemCrossEntropy(0.5, min_kept=0)(logits, target).backward()
    assert logits.grad.abs().sum(1)[0, 0].gt(0).tolist() == [False, True, False, True]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="threshold in"):
        OhemCrossEntropy(threshold=1.2)
    with pytest.raises(ValueError, match="min_kept"):
        OhemCrossEntropy(min_kept=-1)
