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


def test_the_gradient_of_the_sum_is_that_of_the_mean_times_the_pixels():
    logits, target, _ = scene()
    gradients = {}
    for reduction in ("sum", "mean", "valid"):
        leaf = logits.double().requires_grad_()
        CrossEntropy(reduction=reduction)(leaf, target).backward()
        gradients[reduction] = leaf.grad
    valid = 2 * 4 * 3 - 3  # of two images of 4 x 3, one row ignored
    torch.testing.assert_close(gradients["sum"], valid * gradients["mean"])
    torch.testing.assert_close(gradients["valid"], gradients["mean"])
    probability = logits.double().softmax(1)
    expected = probability - F.one_hot(target.clamp(max=2), 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(gradients["sum"], expected * (target != 255)[:, None])


def test_fcn_s_learning_rate_takes_the_step_of_the_mean_s():
    """Heavy learning: 1e-10 on the sum, momentum 0.99, is 1e-10 x pixels on the mean, step for step."""
    image, target = torch.randn(1, 3, 50, 40).double(), torch.randint(0, 3, (1, 50, 40))
    target[0, :5] = 255
    ends = []
    for reduction, lr in (("sum", 1e-10), ("mean", 1e-10 * 45 * 40)):
        weight = torch.eye(3).double().view(3, 3, 1, 1).requires_grad_()
        optimiser = torch.optim.SGD([weight], lr, momentum=0.99)
        for _ in range(5):
            optimiser.zero_grad()
            CrossEntropy(reduction=reduction)(F.conv2d(image, weight), target).backward()
            optimiser.step()
        ends.append((weight.detach() - torch.eye(3).view(3, 3, 1, 1)) / lr)
    assert ends[0].abs().max() > 1
    torch.testing.assert_close(ends[0], ends[1] * 45 * 40, rtol=1e-4, atol=1e-4)


def test_segnet_divides_by_pixels_and_not_by_weights():
    """Two pixels of CamVid's sky and pole, by hand: with weights of the release, (0.2595 a + 4.5640 b) / 2."""
    logits = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    a, b = math.log(1 + math.exp(-1)), math.log(2)
    loss = CrossEntropy([0.2595, 4.5640], "valid")(logits, torch.tensor([[[0, 1]]]))
    assert loss.item() == pytest.approx((0.2595 * a + 4.5640 * b) / 2, rel=1e-6)


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
