"""ResNet of bottlenecks, dilated where it would lose resolution.

He et al., "Deep Residual Learning", CVPR 2016; the deep stem and the dilations are those of the authors of PSPNet.
"""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Literal

from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.conv import conv_norm_act
from perpixel.layers.residual import residual_stage

DILATIONS = ((1, 1), (1, 1), (2, 2), (4, 4))
"""Of the first block and the others, in each stage."""
LATE_DILATIONS = ((1, 1), (1, 1), (1, 2), (2, 4))
"""Those of torchvision: the first block of a stage still has the dilation of the stage before."""
STRIDES = (1, 2, 1, 1)
"""Of the first block of each stage."""
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth -> how many bottlenecks each stage has."""

Stem = Literal["deep", "plain"]


class DilatedResNet(nn.Module):
    """Image `(B, C, H, W)` -> its stages, finest first: stage i is `(B, channels[i], ~H/strides[i], ~W/strides[i])`.

        stem     3x3 stride 2, 3x3, 3x3, max pool   128, H/4     in place of ResNet's 7x7
        stage 1                                     256, H/4
        stage 2  stride 2                           512, H/8
        stage 3  dilation 2 in every block         1024, H/8     in place of strides
        stage 4  dilation 4 in every block         2048, H/8

    Sizes are rounded up, so that 8n + 1 rows become n + 1. `depth` is 50, 101 or 152; `width`, 64, the channels of the
    stem's first convolutions, of which all others are multiples; `dilations`, of the first block and of the others in
    each stage; `strides`, of each stage's first block; `stem`, "deep" or ResNet's own "plain", a single 7x7 convolution
    of half as many channels. Raises `UserError` for another depth.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        width: int = 64,
        dilations: Sequence[tuple[int, int]] = DILATIONS,
        strides: Sequence[int] = STRIDES,
        stem: Stem = "deep",
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise UserError(f"depth must be one of {', '.join(map(str, BLOCKS))}; got {depth}")
        self.channels = (4 * width, 8 * width, 16 * width, 32 * width)
        self.strides = tuple(4 * total for total in accumulate(strides, mul))
        self.stem = make_stem(stem, in_channels, width)
        inputs = (2 * width if stem == "deep" else width, *self.channels)
        self.stages = nn.ModuleList(
            residual_stage("bottleneck", i, o // 4, count, stride, dilation)
            for i, o, count, stride, dilation in zip(
                inputs, self.channels, BLOCKS[depth], strides, dilations, strict=False
            )
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        x, maps = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def at_output_stride(output_stride: int) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Strides and dilations of the four stages where strides beyond `output_stride`, 8, 16 or 32, turn into dilation, in
    torchvision's way: the first block of a stage still has the dilation of the stage before.

    >>> at_output_stride(8) == (STRIDES, LATE_DILATIONS)
    True
    >>> at_output_stride(16)
    ((1, 2, 2, 1), ((1, 1), (1, 1), (1, 1), (1, 2)))
    """
    strides: list[int] = []
    dilations: list[tuple[int, int]] = []
    reached, dilation = 4, 1
    for wanted in (1, 2, 2, 2):
        before, stride = dilation, wanted
        if reached * wanted > output_stride:
            dilation, stride = dilation * wanted, 1
        reached *= stride
        strides.append(stride)
        dilations.append((before, dilation))
    return tuple(strides), tuple(dilations)


def make_stem(stem: Stem, in_channels: int, width: int) -> nn.Sequential:
    """`(B, in_channels, H, W)` -> `(B, 2 * width, ~H/4, ~W/4)`, or `width` channels with the plain one."""
    pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    if stem == "plain":
        return nn.Sequential(conv_norm_act(in_channels, width, 7, stride=2), pool)
    return nn.Sequential(
        conv_norm_act(in_channels, width, 3, stride=2),
        conv_norm_act(width, width, 3),
        conv_norm_act(width, 2 * width, 3),
        pool,
    )
