"""The building blocks against loops, numpy and arithmetic."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from perpixel.layers.conv import conv_norm_act
from perpixel.layers.init import kaiming_init
from perpixel.layers.norm import BatchNorm2d
from perpixel.layers.pad import mirror_pad, pad_end
from perpixel.layers.pyramid_pooling import PyramidPooling


def test_batch_norm_of_one_value_uses_the_running_statistics() -> None:
    norm = BatchNorm2d(2, eps=1e-5, momentum=0.1).train()
    norm.running_mean.copy_(torch.tensor([1.0, -2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    found = norm(torch.tensor([5.0, -1.0]).view(1, 2, 1, 1)).flatten().tolist()
    assert found == pytest.approx([4 / math.sqrt(4 + 1e-5), 1 / math.sqrt(0.25 + 1e-5)])
    assert norm.running_mean.tolist() == [1.0, -2.0]
    assert norm.num_batches_tracked.item() == 0


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 3, 1, 2), (4, 3, 5, 6)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_more_is_pytorchs(shape: tuple[int, ...], training: bool) -> None:
    ours, theirs = BatchNorm2d(3, eps=1e-5, momentum=0.1), nn.BatchNorm2d(3, eps=1e-5, momentum=0.1)
    x = torch.randn(shape)
    torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x), atol=0, rtol=0)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (3, 5), (9, 30)], ids=str)
def test_mirror_pad_is_numpys_reflect(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, *size))
    expected = np.pad(image, ((0, 0), (0, 0), (11, 7), (6, 20)), mode="reflect")
    found = mirror_pad(torch.from_numpy(image), (11, 6), (size[0] + 18, size[1] + 26))
    assert np.array_equal(found.numpy(), expected)


def test_pad_end_is_numpys_edge() -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 2, 5))
    expected = np.pad(image, ((0, 0), (0, 0), (0, 7), (0, 1)), mode="edge")
    assert np.array_equal(pad_end(torch.from_numpy(image), (9, 6)).numpy(), expected)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 4), (4, 3)])
def test_conv_norm_act_divides_sizes_rounding_up(stride: int, dilation: int) -> None:
    block = conv_norm_act(2, 4, 3, stride=stride, dilation=dilation).eval()
    assert block(torch.randn(1, 2, 13, 8)).shape == (1, 4, -(-13 // stride), -(-8 // stride))


def test_conv_norm_act_has_relu_on_request() -> None:
    x = torch.randn(1, 2, 8, 8)
    assert conv_norm_act(2, 4)(x).min() == 0
    assert conv_norm_act(2, 4, act=False)(x).min() < 0
    with pytest.raises(ValueError, match="odd kernel_size"):
        conv_norm_act(2, 4, 2)


def test_pyramid_pooling_by_hand() -> None:
    """Two bins on a 4 x 4 map; the 1x1 convolutions pass channel 0, batch norms at rest divide by sqrt(1 + eps)."""
    pooling = PyramidPooling(2, bins=(1, 2), align_corners=True).eval()
    for branch in pooling.branches:
        branch.conv.weight.data.copy_(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
    x = torch.rand(1, 2, 4, 4)
    found = pooling(x) * torch.tensor([1, 1, math.sqrt(1 + 1e-5), math.sqrt(1 + 1e-5)]).view(1, 4, 1, 1)
    assert torch.equal(found[:, :2], x)
    torch.testing.assert_close(found[0, 2], torch.full((4, 4), x[0, 0].mean().item()))
    corners = [[x[0, 0, :2, :2].mean(), x[0, 0, :2, 2:].mean()], [x[0, 0, 2:, :2].mean(), x[0, 0, 2:, 2:].mean()]]
    for i in range(4):
        for j in range(4):
            a, b = i / 3, j / 3
            top = (1 - b) * corners[0][0] + b * corners[0][1]
            bottom = (1 - b) * corners[1][0] + b * corners[1][1]
            torch.testing.assert_close(found[0, 3, i, j], (1 - a) * top + a * bottom)


def test_kaiming_doubles_the_variance_for_the_relu_to_halve() -> None:
    torch.manual_seed(0)
    for conv in (nn.Conv2d(256, 256, 3, groups=256), nn.Conv2d(64, 96, 1), nn.ConvTranspose2d(64, 96, 2, stride=2)):
        kaiming_init(conv)
        found = conv(torch.randn(4, conv.in_channels, 12, 12)).pow(2).mean().item()
        assert found == pytest.approx(2.0, rel=0.1)  # N inputs of variance 1, N weights of variance 2 / N
