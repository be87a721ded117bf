"""L2 normalisation of every pixel's features, with a learned scale a channel."""

import torch
from torch import Tensor, nn


class L2Norm(nn.Module):
    """`(B, C, H, W)` -> the same shape: every pixel's features at length 1, then scaled channel by channel.

        y_c = scale_c * x_c / sqrt(sum over k of x_k^2 + eps)

    `scale` is `(channels,)`, learned, and starts at `initial_scale`. Features of unit length among hundreds of channels
    are so small that a classifier learns slowly from them, hence 10 and not 1. A pixel of zeros stays zeros: `eps`,
    added under the root, keeps its gradient finite.

    Source: Liu, Rabinovich, Berg, "ParseNet", arXiv:1506.04579, section 3.3; the place of eps, and 1e-10, from the
    authors' Caffe layer.

    >>> norm = L2Norm(2, initial_scale=10.0)
    >>> norm(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten().tolist()
    [6.0, 8.0]
    """

    def __init__(self, channels: int, initial_scale: float = 10.0, eps: float = 1e-10) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), initial_scale))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` float -> the same shape."""
        length = torch.sqrt(x.square().sum(dim=1, keepdim=True) + self.eps)  # B,1,H,W
        return self.scale[:, None, None] * (x / length)
