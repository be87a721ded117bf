"""Pyramid pooling: the whole map, seen at a few coarse grids, beside every pixel."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.layers.conv import conv_norm_act
from perpixel.layers.resize import resize


class PyramidPooling(nn.Module):
    """`(B, C, H, W)` -> `(B, 2C, H, W)`: the map and, for each bin count, its pooled, projected and resized copy.

        x ─┬──────────────────────────────────────────────────────┐
           └─ average pool to n x n ─ 1x1 C/len(bins) ─ resize ────┴─ concat     for n in bins

    `len(bins)` must divide `channels`. The convolution that mixes the result is the network's own: its kernel differs.

    Source: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 3.2.
    """

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 3, 6), *, align_corners: bool) -> None:
        super().__init__()
        if channels % len(bins):
            raise ValueError(f"pyramid pooling needs channels that {len(bins)} bins divide; got {channels}")
        self.bins = tuple(bins)
        self.align_corners = align_corners
        self.branches = nn.ModuleList(conv_norm_act(channels, channels // len(bins), 1) for _ in bins)

    def forward(self, x: Tensor) -> Tensor:
        """The map `(B, C, H, W)`, of any size from 1 up -> `(B, 2C, H, W)`."""
        size = (x.shape[-2], x.shape[-1])
        maps = [x]
        for bins, branch in zip(self.bins, self.branches, strict=True):
            pooled = branch(F.adaptive_avg_pool2d(x, bins))  # B,C/len(bins),n,n
            maps.append(resize(pooled, size, align_corners=self.align_corners))
        return torch.cat(maps, dim=1)
