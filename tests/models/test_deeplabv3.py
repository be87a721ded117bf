"""DeepLabv3's output strides: the size of its deep map, and the rates that go with it."""

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.deeplabv3 import DeepLabV3


@pytest.mark.parametrize(
    ("output_stride", "rates", "dilations"),
    [(8, [12, 24, 36], {1, 2, 4}), (16, [6, 12, 18], {1, 2}), (32, [3, 6, 9], {1})],
)
def test_strides_turn_into_dilation(output_stride: int, rates: list[int], dilations: set[int]) -> None:
    with torch.device("meta"):
        model = DeepLabV3(3, output_stride=output_stride).eval()
        *_, deep = model.backbone(torch.empty(1, 3, 513, 257))
    assert deep.shape == (1, 2048, 512 // output_stride + 1, 256 // output_stride + 1)
    assert [branch.conv.dilation[0] for branch in model.aspp.atrous] == rates
    assert {part.dilation[0] for part in model.backbone.modules() if isinstance(part, nn.Conv2d)} == dilations


def test_other_output_strides_are_refused() -> None:
    with pytest.raises(UserError, match="output_stride must be one of 8, 16, 32; got 4"):
        DeepLabV3(3, output_stride=4)
