"""Dilated residual networks: classifiers that keep their maps at an eighth of the image.

Yu, Koltun, Funkhouser, "Dilated Residual Networks", CVPR 2017, arXiv:1705.09914. Counts of layers, and what the paper
leaves open, are those of the authors' code (github.com/fyu/drn).

    level           1    2    3    4    5      6      7    8
    stride, so far  1    2    4    8    8      8      8    8
    dilation        1    1    1    1    2      4      2    1
    channels       16   32   64  128  256    512    512  512      64, 128, 256, 512 are times 4 with bottlenecks
    B               residual blocks throughout
    C               residual blocks to level 6; blocks without the shortcut in 7 and 8
    D              conv conv  residual blocks ...   conv conv     plain convolutions, each with norm and ReLU

A is ResNet with stride 1 and dilation in its last two stages; its dilation leaves a grid of artefacts ("gridding").
B adds levels 7 and 8, whose dilation shrinks again, to smooth it away, and has no max pooling, which feeds it. C takes
the shortcuts out of levels 7 and 8, along which the grid could still pass. D makes C simpler.
"""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from perpixel.core.errors import UserError, nearest
from perpixel.layers.conv import conv_norm_act
from perpixel.layers.residual import Block, ResidualBlock, out_channels, residual_stage

Kind = Literal["a", "b", "c", "d"]


@dataclass(frozen=True)
class Architecture:
    """Which variant it is, the blocks of its residual levels, and how many blocks or convolutions each level has."""

    kind: Kind
    block: Block
    counts: tuple[int, ...]


ARCHITECTURES: dict[str, Architecture] = {
    "drn_a_18": Architecture("a", "basic", (2, 2, 2, 2)),
    "drn_a_34": Architecture("a", "basic", (3, 4, 6, 3)),
    "drn_a_50": Architecture("a", "bottleneck", (3, 4, 6, 3)),
    "drn_b_26": Architecture("b", "basic", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_c_26": Architecture("c", "basic", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_c_42": Architecture("c", "basic", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_c_58": Architecture("c", "bottleneck", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_22": Architecture("d", "basic", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_d_24": Architecture("d", "basic", (1, 1, 2, 2, 2, 2, 2, 2)),
    "drn_d_38": Architecture("d", "basic", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_40": Architecture("d", "basic", (1, 1, 3, 4, 6, 3, 2, 2)),
    "drn_d_54": Architecture("d", "bottleneck", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_56": Architecture("d", "bottleneck", (1, 1, 3, 4, 6, 3, 2, 2)),
    "drn_d_105": Architecture("d", "bottleneck", (1, 1, 3, 4, 23, 3, 1, 1)),
    "drn_d_107": Architecture("d", "bottleneck", (1, 1, 3, 4, 23, 3, 2, 2)),
}
"""The number is that of the layers with weights on the way through, the classifier's among them."""


class DRN(nn.Module):
    """Image `(B, C, H, W)` -> its levels, finest first: level i is `(B, channels[i], H/strides[i], W/strides[i])`.

    Sizes are rounded up. There are eight levels, or four for A, of strides 4, 8, 8, 8. `name` is a key of
    `ARCHITECTURES`; `width` multiplies all channels, 1 is the paper's. Raises `UserError` for another name.
    """

    def __init__(self, name: str, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        if name not in ARCHITECTURES:
            hint = nearest(name, ARCHITECTURES) or f" Known: {', '.join(ARCHITECTURES)}."
            raise UserError(f'There is no dilated residual network "{name}".{hint}')
        arch = ARCHITECTURES[name]
        if arch.kind == "a":
            self.stem, self.levels = trunk_a(arch, in_channels, width)
            self.strides: tuple[int, ...] = (4, 8, 8, 8)
        else:
            self.stem, self.levels = trunk_bcd(arch, in_channels, width)
            self.strides = (1, 2, 4, 8, 8, 8, 8, 8)
        self.channels = level_channels(arch, width)
        # The authors' C-58 holds a shortcut in level 7 that it never uses; it is here so that counts and weights agree.
        unused = arch.kind == "c" and self.channels[5] != self.channels[6]
        self.unused = conv_norm_act(self.channels[5], self.channels[6], 1, act=False) if unused else None
        if self.unused is not None:
            self.unused.requires_grad_(False)
        fan_out_init(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, maps = self.stem(image), []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps


class DRNClassifier(nn.Module):
    """The network that is trained on ImageNet: image `(B, in_channels, H, W)` -> scores `(B, num_classes)`.

    Any H and W from 1 up; the paper's is 224 x 224, of which the last map is 28 x 28. `name` is a key of
    `ARCHITECTURES`.

    >>> sum(p.numel() for p in DRNClassifier("drn_d_22").parameters())
    16393752
    """

    def __init__(self, name: str, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = DRN(name, in_channels, width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.trunk.channels[-1], num_classes)
        nn.init.normal_(self.fc.weight, mean=0.0, std=math.sqrt(2 / num_classes))
        nn.init.zeros_(self.fc.bias)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.pool(self.trunk(image)[-1]).flatten(1))


def level_channels(arch: Architecture, width: float) -> tuple[int, ...]:
    """What each level gives out."""
    expansion = out_channels(arch.block, 1)
    if arch.kind == "a":
        return tuple(round(c * width) * expansion for c in (64, 128, 256, 512))
    factors = (1, 1, *[expansion] * 4, 1, 1)
    return tuple(round(c * width) * f for c, f in zip((16, 32, 64, 128, 256, 512, 512, 512), factors, strict=True))


def trunk_a(arch: Architecture, in_channels: int, width: float) -> tuple[nn.Module, nn.ModuleList]:
    """ResNet, its stages 3 and 4 at stride 1. The first block of both is not dilated."""
    outputs, expansion = level_channels(arch, width), out_channels(arch.block, 1)
    first = round(64 * width)
    stem = nn.Sequential(
        conv_norm_act(in_channels, first, 7, stride=2), nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    )
    strides, dilations = (1, 2, 1, 1), ((1, 1), (1, 1), (1, 2), (1, 4))
    levels = nn.ModuleList(
        residual_stage(arch.block, inputs, output // expansion, count, stride, dilation)
        for inputs, output, count, stride, dilation in zip(
            (first, *outputs), outputs, arch.counts, strides, dilations, strict=False
        )
    )
    return stem, levels


def trunk_bcd(arch: Architecture, in_channels: int, width: float) -> tuple[nn.Module, nn.ModuleList]:
    """A 7x7 convolution at full resolution and eight levels."""
    outputs = level_channels(arch, width)
    first = round(16 * width)
    strides, dilations = (1, 2, 2, 2, 1, 1, 1, 1), (1, 1, 1, 1, 2, 4, 2, 1)
    levels = nn.ModuleList(
        level_bcd(arch, number, *sizes)
        for number, sizes in enumerate(
            zip((first, *outputs), outputs, arch.counts, strides, dilations, strict=False), start=1
        )
    )
    return conv_norm_act(in_channels, first, 7), levels


def level_bcd(
    arch: Architecture, number: int, inputs: int, outputs: int, count: int, stride: int, dilation: int
) -> nn.Sequential:
    """Level `number`, from 1 to 8: residual blocks, convolutions, or basic blocks without their shortcut."""
    if 3 <= number <= 6:
        channels = outputs // out_channels(arch.block, 1)
        return residual_stage(arch.block, inputs, channels, count, stride, (dilation, dilation))
    sizes = zip([inputs] + [outputs] * (count - 1), [stride] + [1] * (count - 1), strict=True)
    if arch.kind == "d":
        return nn.Sequential(*(conv_norm_act(i, outputs, 3, stride=s, dilation=dilation) for i, s in sizes))
    residual = arch.kind == "b" or number < 7
    return nn.Sequential(*(ResidualBlock("basic", i, outputs, s, dilation, residual) for i, s in sizes))


def fan_out_init(module: nn.Module) -> None:
    """Normal weights of variance 2 / (k * k * outputs) for every convolution, as in the authors' code."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            outputs = math.prod(part.kernel_size) * part.out_channels
            nn.init.normal_(part.weight, mean=0.0, std=math.sqrt(2 / outputs))
