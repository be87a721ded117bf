"""MiT, the Mix Transformer: the encoder of SegFormer.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021,
arXiv:2105.15203, section 3.1 and table 6; what they leave open is that of the authors' code (github.com/NVlabs/SegFormer).

Inside a stage a map is `(B, h, w, C)`, so that norms and linear layers work on its last axis; a convolution sees it
permuted. There are no position embeddings: the zero padding of the convolutions tells a place where it is.
"""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from perpixel.core.errors import UserError

VARIANTS = {
    "b0": (32, (2, 2, 2, 2)),
    "b1": (64, (2, 2, 2, 2)),
    "b2": (64, (3, 4, 6, 3)),
    "b3": (64, (3, 4, 18, 3)),
    "b4": (64, (3, 8, 27, 3)),
    "b5": (64, (3, 6, 40, 3)),
}
"""Name -> the channels of a head, and how many blocks each stage has."""
HEADS = (1, 2, 5, 8)
"""Of each stage; its channels are as many times those of a head."""
PATCHES = ((7, 4), (3, 2), (3, 2), (3, 2))
"""Kernel and stride of the convolution that opens each stage: neighbouring patches overlap."""
REDUCTIONS = (8, 4, 2, 1)
"""By how much keys and values are coarser than the map, along each side."""
SMALLEST = 29
"""Rows and columns that an image must have, so that the reduction of stage 1 leaves one row of ceil(29 / 4) = 8."""


class MixTransformer(nn.Module):
    """Image `(B, C, H, W)` -> its stages, finest first: stage i is `(B, channels[i], ~H/strides[i], ~W/strides[i])`.

    Sizes are rounded up; H and W are 29 or more. `variant` is "b0" to "b5"; `drop_path`, the probability with which the
    last block leaves out a branch of an image in training, rising to it linearly from 0 in the first; `norm_eps`, the
    epsilon of the norms of blocks and stages; those of merged patches and of reduced maps keep 1e-5, as in the authors'
    code. Raises `UserError` for another variant.
    """

    def __init__(
        self, variant: str = "b0", in_channels: int = 3, drop_path: float = 0.1, norm_eps: float = 1e-6
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise UserError(f'variant must be one of {", ".join(VARIANTS)}; got "{variant}"')
        width, depths = VARIANTS[variant]
        self.channels = tuple(width * heads for heads in HEADS)
        self.strides = (4, 8, 16, 32)
        rates = iter(drop_path * i / (sum(depths) - 1) for i in range(sum(depths)))
        self.stages = nn.ModuleList(
            nn.Sequential(
                PatchMerging(inputs, channels, *patch),
                *(Block(channels, heads, reduction, next(rates), norm_eps) for _ in range(depth)),
                nn.LayerNorm(channels, eps=norm_eps),
            )
            for (inputs, channels), patch, depth, heads, reduction in zip(
                pairwise((in_channels, *self.channels)), PATCHES, depths, HEADS, REDUCTIONS, strict=True
            )
        )
        authors_init(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, maps = image, []
        for stage in self.stages:
            x = channels_first(stage(x))  # B,C_i,H/s_i,W/s_i
            maps.append(x)
        return maps


class PatchMerging(nn.Module):
    """Overlapped patch merging: `(B, in, h, w)` -> `(B, ceil(h / stride), ceil(w / stride), out)`."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(channels_last(self.conv(x)))


class Block(nn.Module):
    """A transformer block, `(B, h, w, C)` -> the same shape: attention, then Mix-FFN, each normalised before and added."""

    def __init__(self, channels: int, heads: int, reduction: int, drop_path: float, norm_eps: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels, eps=norm_eps)
        self.attention = EfficientSelfAttention(channels, heads, reduction)
        self.ffn_norm = nn.LayerNorm(channels, eps=norm_eps)
        self.ffn = MixFFN(channels, 4 * channels)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.attention_norm(x)))
        return x + self.drop_path(self.ffn(self.ffn_norm(x)))


class EfficientSelfAttention(nn.Module):
    """Every place attends to a coarser copy of the map: `(B, h, w, C)` -> the same shape.

    A convolution with kernel and stride R makes the copy, of floor(h / R) x floor(w / R): rows and columns left over
    behind it attend, but are not attended to. The cost is that of full attention divided by R squared.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduce = nn.Conv2d(channels, channels, reduction, stride=reduction, padding=0) if reduction > 1 else None
        self.norm = nn.LayerNorm(channels, eps=1e-5) if reduction > 1 else None
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        if self.reduce is not None and self.norm is not None:
            seen = self.norm(channels_last(self.reduce(channels_first(x))))  # B,h/R,w/R,C
        query, key, value = (self.split(y) for y in (self.query(x), self.key(seen), self.value(seen)))
        attended = F.scaled_dot_product_attention(query, key, value)  # B,heads,h*w,C/heads; scores / sqrt(C/heads)
        return self.project(attended.transpose(1, 2).reshape(x.shape))

    def split(self, x: Tensor) -> Tensor:
        """`(B, h, w, C)` -> `(B, heads, h * w, C / heads)`."""
        return x.flatten(1, 2).unflatten(2, (self.heads, x.shape[3] // self.heads)).transpose(1, 2)


class MixFFN(nn.Module):
    """Linear, depthwise 3x3 with zero padding, GELU, linear: `(B, h, w, C)` -> the same shape."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU(approximate="none")
        self.project = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = channels_first(self.expand(x))  # B,4C,h,w
        return self.project(self.act(channels_last(self.depthwise(x))))


def channels_first(x: Tensor) -> Tensor:
    """`(B, h, w, C)` -> `(B, C, h, w)`, the same memory."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """`(B, C, h, w)` -> `(B, h, w, C)`, the same memory."""
    return x.permute(0, 2, 3, 1)


def authors_init(module: nn.Module) -> None:
    """Linear weights normal of deviation 0.02, cut at 2; convolutions normal of variance 2 / fan-out; biases zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, mean=0.0, std=0.02, a=-2.0, b=2.0)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d):
            fan_out = math.prod(part.kernel_size) * part.out_channels // part.groups
            nn.init.normal_(part.weight, mean=0.0, std=math.sqrt(2 / fan_out))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
