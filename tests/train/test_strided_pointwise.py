"""Thin strided 1x1 convolutions, as in thin residual networks, train on a CPU without a crash, and with the right gradient."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from perpixel.models import build
from perpixel.train.strided_pointwise import spare_strided_pointwise

STEPS = """
import torch
from accelerate import Accelerator
from torch import nn
from perpixel.train.recipe import Recipe
from perpixel.train.state import State

torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d({channels}, 16, 1, stride=2, bias=False))
recipe = Recipe().changed({{"precision": "{precision}"}})
state = State(network, recipe, Accelerator(cpu=True, mixed_precision="{precision}".replace("fp32", "no")))
for step in range(6):
    image = torch.randn(4, {channels}, 192, 192).contiguous(memory_format=torch.channels_last)
    state.step(lambda: state.forward(image).float().square().mean(), 1, 0.01, step)
print("whole")
"""


@pytest.mark.parametrize(("channels", "precision"), [(4, "fp32"), (15, "fp32"), (8, "bf16")])
def test_training_does_not_crash(channels: int, precision: str) -> None:
    code = STEPS.format(channels=channels, precision=precision)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-500:]


@pytest.mark.parametrize("stride", [2, (1, 3)])
def test_the_result_and_its_gradients_are_those_of_the_convolution(stride: int | tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv, image = nn.Conv2d(5, 7, 1, stride=stride).double(), torch.randn(2, 5, 9, 12, dtype=torch.float64)

    def of(convolution: nn.Conv2d) -> list[torch.Tensor]:
        convolution.zero_grad()
        pixels = image.clone().requires_grad_()
        found = convolution(pixels)
        found.square().sum().backward()
        grads = [t.grad for t in (pixels, *convolution.parameters())]
        return [found.detach().clone(), *(g.clone() for g in grads if g is not None)]

    expected = of(conv)
    assert len(expected) == 4
    assert spare_strided_pointwise(conv) == 1
    torch.testing.assert_close(of(conv), expected, rtol=1e-12, atol=1e-12)


def test_only_thin_ones_are_spared() -> None:
    thin = build("drn_c_26", num_classes=3, width=0.25)
    keys = list(thin.state_dict())
    assert spare_strided_pointwise(thin) == 2  # the shortcuts from 4 and from 8 channels
    assert list(thin.state_dict()) == keys
    assert spare_strided_pointwise(build("drn_c_26", num_classes=3)) == 0  # as wide as the paper's
    assert spare_strided_pointwise(nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, stride=2))) == 0
