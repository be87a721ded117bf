"""Atrous spatial pyramid pooling: one map seen through dilated convolutions of several rates, and as a whole."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.layers.conv import conv_norm_act
from perpixel.layers.resize import resize
from perpixel.layers.separable import separable_conv


class ASPP(nn.Module):
    """`(B, in_channels, h, w)` -> `(B, channels, h, w)`, of any h and w from 1 up.

        x ─┬─ 1x1 ──────────────────────────────┐
           ├─ 3x3 dilated, one for each rate ───┤
           └─ average of the map ─ 1x1 ─ resize ┴─ concat ─ 1x1

    Every convolution has `channels` outputs, batch norm and ReLU. `separable` makes the 3x3 depthwise separable.
    The dropout that networks put behind it is their own.

    Source: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017, section 3.3; separable
    in Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018.
    """

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int], *, separable: bool) -> None:
        super().__init__()
        self.point = conv_norm_act(in_channels, channels, 1)
        self.atrous = nn.ModuleList(
            separable_conv(in_channels, channels, dilation=rate, eps=1e-5, act=True)
            if separable
            else conv_norm_act(in_channels, channels, 3, dilation=rate)
            for rate in rates
        )
        self.image_pooling = conv_norm_act(in_channels, channels, 1)
        self.project = conv_norm_act((2 + len(rates)) * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.image_pooling(F.adaptive_avg_pool2d(x, 1))  # B,channels,1,1
        whole = resize(whole, (x.shape[-2], x.shape[-1]), align_corners=False)  # of one value: a copy of it everywhere
        return self.project(torch.cat([self.point(x), *(branch(x) for branch in self.atrous), whole], dim=1))
