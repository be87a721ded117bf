"""The feature pyramid: every stage of an encoder gets the same channels, and what the coarser stages know.

Lin, Dollár, Girshick, He, Hariharan, Belongie, "Feature Pyramid Networks for Object Detection", CVPR 2017,
arXiv:1612.03144, figure 3. "Twice as large" is here: of the size of the next finer stage.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import Size


class FeaturePyramid(nn.Module):
    """Gives every stage of an encoder the same channels, and what the coarser stages know."""

    def __init__(self, in_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Stages, finest first, `(B, in_channels[i], h_i, w_i)` -> levels, finest first, `(B, channels, h_i, w_i)`."""
        merged = [lateral(stage) for lateral, stage in zip(self.lateral, stages, strict=True)]
        for fine in reversed(range(len(merged) - 1)):
            merged[fine] = merged[fine] + F.interpolate(merged[fine + 1], size=size_of(merged[fine]), mode="nearest")
        return [output(level) for output, level in zip(self.output, merged, strict=True)]


def size_of(x: Tensor) -> Size:
    """(H, W) of a map."""
    return x.shape[-2], x.shape[-1]
