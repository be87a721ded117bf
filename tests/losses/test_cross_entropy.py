"""Cross entropy against plain loops and torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F

from perpixel.losses import CrossEntropy

WEIGHTS = [0.5, 1.0, 3.0]


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 3, (2, 4, 3), generator=generator)
    target[1, 2] = 255
    return torch.randn(2, 3, 4, 3, generator=generator), target, torch.rand(2, 4, 3, generator=generator)


def loop(logits, target, class_weights, pixel_weights, smoothing=0.0) -> tuple[float, float, int]:
    """sum(w CE), sum(w), valid pixels."""
    total, weight_sum, count = 0.0, 0.0, 0
    for b, y, x in torch.ones_like(target).nonzero().tolist():
        label = int(target[b, y, x])
        if label == 255:
            continue
        scores = [float(s) for s in logits[b, :, y, x]]
        log_sum = math.log(sum(math.exp(s) for s in scores))
        pixel = float(pixel_weights[b, y, x])
        hard = class_weights[label] * (log_sum - scores[label])
        even = sum(w * (log_sum - s) for w, s in zip(class_weights, scores, strict=True)) / len(scores)
        total += pixel * ((1 - smoothing) * hard + smoothing * even)
        weight_sum += pixel * class_weights[label]
        count += 1
    return total, weight_sum, count


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize("pixels", [False, True])
def test_reductions_equal_a_loop(class_weights, pixels, smoothing):
    logits, target, pixel_weights = scene()
    by_pixel = pixel_weights if pixels else torch.ones(target.shape)
    total, weight_sum, count = loop(logits, target, class_weights or [1.0] * 3, by_pixel, smoothing)
    assert count == 21
    for reduction, expected in {"sum": total, "mean": total / weight_sum, "valid": total / count}.items():
        loss = CrossEntropy(class_weights, reduction, smoothing)(logits, target, pixel_weights if pixels else None)
        assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_mean_is_torch_s():
    logits, target, _ = scene()
    weights = torch.tensor(WEIGHTS)
    expected = F.cross_entropy(logits, target, weights, ignore_index=255, label_smoothing=0.1)
    torch.testing.assert_close(CrossEntropy(weights, label_smoothing=0.1)(logits, target), expected)


def test_valid_is_half_of_mean_where_every_weight_is_a_half():
    logits, target, _ = scene()
    half = [0.5, 0.5, 0.5]
    plain = CrossEntropy()(logits, target)
    torch.testing.assert_close(CrossEntropy(half)(logits, target), plain)
    torch.testing.assert_close(CrossEntropy(half, "valid")(logits, target), plain / 2)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match='reduction must be one of mean, valid, sum, got "none"'):
        CrossEntropy(reduction="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropy(label_smoothing=1.0)


@pytest.mark.parametrize("label", [3, -1, 254])
def test_a_label_out_of_range_is_an_error(label):
    logits, target, _ = scene()
    target[0, 0, 0] = label
    with pytest.raises(IndexError):
        CrossEntropy()(logits, target)
