"""Residual blocks whose 3x3 convolutions can be dilated, and stages of them."""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.layers.conv import conv_norm_act

Block = Literal["basic", "bottleneck"]


class ResidualBlock(nn.Module):
    """ReLU(shortcut(x) + convolutions(x)): `(B, in, H, W)` -> `(B, out, ceil(H/s), ceil(W/s))`.

    - "basic": 3x3, 3x3, both dilated, the first strided; out = channels;
    - "bottleneck": 1x1, 3x3 dilated and strided, 1x1; out = 4 * channels.

    Every convolution has a batch norm and, but for the last, a ReLU. The shortcut is the input, or a 1x1 convolution
    with batch norm where stride or channels change. With `residual=False` nothing is added, and there is no shortcut.

    Source: He et al., "Deep Residual Learning", CVPR 2016, figure 5 and section 3.3; the stride is on the 3x3, as in
    torchvision, and the missing shortcut is Yu et al.'s, "Dilated Residual Networks", CVPR 2017, section 4.
    """

    def __init__(
        self, block: Block, inputs: int, channels: int, stride: int = 1, dilation: int = 1, residual: bool = True
    ) -> None:
        super().__init__()
        outputs = out_channels(block, channels)
        if block == "basic":
            self.convs = nn.Sequential(
                conv_norm_act(inputs, channels, 3, stride=stride, dilation=dilation),
                conv_norm_act(channels, outputs, 3, dilation=dilation, act=False),
            )
        else:
            self.convs = nn.Sequential(
                conv_norm_act(inputs, channels, 1),
                conv_norm_act(channels, channels, 3, stride=stride, dilation=dilation),
                conv_norm_act(channels, outputs, 1, act=False),
            )
        changes = residual and (stride != 1 or inputs != outputs)
        self.shortcut = conv_norm_act(inputs, outputs, 1, stride=stride, act=False) if changes else None
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        out = self.convs(x)
        if self.residual:
            out = out + (x if self.shortcut is None else self.shortcut(x))
        return F.relu(out)


def residual_stage(
    block: Block, inputs: int, channels: int, count: int, stride: int = 1, dilations: Sequence[int] = (1, 1)
) -> nn.Sequential:
    """`count` blocks, the first of which strides and changes the channels.

    `dilations` are that of the first block and that of all others.
    """
    outputs = out_channels(block, channels)
    first = ResidualBlock(block, inputs, channels, stride, dilations[0])
    others = (ResidualBlock(block, outputs, channels, dilation=dilations[1]) for _ in range(count - 1))
    return nn.Sequential(first, *others)


def out_channels(block: Block, channels: int) -> int:
    """What a block of `channels` gives out.

    >>> out_channels("basic", 64), out_channels("bottleneck", 64)
    (64, 256)
    """
    return channels if block == "basic" else 4 * channels
