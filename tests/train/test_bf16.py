"""bf16 training on a CPU has the gradients of fp32, up to bf16's rounding."""

import torch
from torch import nn

from perpixel.models import build
from perpixel.train.bf16 import spare_dilated_depthwise


def gradient(conv: nn.Conv2d, image: torch.Tensor, bf16: bool) -> torch.Tensor:
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        conv(image).float().sum().mul(0.01).backward()
    assert conv.weight.grad is not None
    return conv.weight.grad.clone()


def test_gradients_of_dilated_depthwise_convolutions_are_right_every_time() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3, padding=4, dilation=4, groups=64, bias=False).to(memory_format=torch.channels_last)
    image = torch.randn(4, 64, 23, 31).contiguous(memory_format=torch.channels_last)
    expected = gradient(conv, image, bf16=False)
    assert spare_dilated_depthwise(conv) == 1
    for _ in range(10):
        dirt = [torch.full((n,), 1e30, dtype=torch.bfloat16) for n in (288, 576, 1152, 4096, 65536)]
        del dirt  # what the faulty gradient would read
        torch.testing.assert_close(gradient(conv, image, bf16=True), expected, rtol=1e-5, atol=1e-4)


def test_only_dilated_depthwise_convolutions_are_spared() -> None:
    network = build("fast_scnn", num_classes=3)  # the paper's feature fusion has the one such convolution
    keys = list(network.state_dict())
    assert spare_dilated_depthwise(network) == 1
    assert list(network.state_dict()) == keys
    assert spare_dilated_depthwise(build("erfnet", num_classes=3)) == 0  # dilated, but not depthwise
