"""The dilated context module: a stack of convolutions that sees 67 x 67 positions without losing any of them."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Width = Literal["basic", "large"]
Padding = Literal["each", "once"]

DILATIONS: dict[int, tuple[int, ...]] = {
    7: (1, 1, 2, 4, 8, 1),
    8: (1, 1, 2, 4, 8, 16, 1),
    10: (1, 1, 2, 4, 8, 16, 32, 64, 1),
}
"""Depth -> the dilations of its 3x3 convolutions; the layer that is missing from the count is the last, a 1x1."""


class ContextModule(nn.Module):
    """`(B, C, H, W)` -> `(B, C, H, W)`: 3x3 convolutions of doubling dilation, each with ReLU, then a linear 1x1.

        layer            1   2   3   4   5   6   7   8
        dilation         1   1   2   4   8  16   1   1x1
        receptive field  3   5   9  17  33  65  67  67
        basic width      C   C   C   C   C   C   C   C
        large width     2C  2C  4C  8C 16C 32C 32C   C

    It goes behind any feature map, whose size and channels it keeps. Its initial weights pass the map through, so that
    it can be added to a trained network; as there is a ReLU behind every 3x3, what passes is the map's positive part.

    - `depth` is 8, or 7 (without dilation 16), or 10 (with 32 and 64: a receptive field of 259).
    - `width`, "basic" or "large", is the second and third line of the table. The paper has "large" at depth 8 only;
      at other depths here the width is twice the dilation, as there.
    - `padding`, of zeros: "each" convolution keeps the size, or all that is needed is put around the map "once" and the
      convolutions are unpadded. They differ near the border, where "once" computes on beyond the map.

    Raises `ValueError` for another depth, width or padding.

    Source: Yu, Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016, section 3, table 1; depths 7
    and 10 from the authors' models for KITTI and Cityscapes.

    >>> module = ContextModule(11)
    >>> sum(p.numel() for p in module.parameters())
    7832
    >>> module(torch.rand(1, 11, 5, 7)).shape
    torch.Size([1, 11, 5, 7])
    """

    def __init__(self, channels: int, depth: int = 8, width: Width = "basic", padding: Padding = "each") -> None:
        super().__init__()
        if depth not in DILATIONS or width not in ("basic", "large") or padding not in ("each", "once"):
            raise ValueError(
                "a context module has depth 7, 8 or 10, width basic or large, and padding each or once; "
                f"got {depth}, {width}, {padding}"
            )
        dilations = DILATIONS[depth]
        widths = [channels, *(channels * m for m in multipliers(dilations, width))]
        self.margin = sum(dilations) if padding == "once" else 0
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=dilation if padding == "each" else 0, dilation=dilation)
            for i, o, dilation in zip(widths, widths[1:], dilations, strict=False)
        )
        self.project = nn.Conv2d(widths[-1], channels, 1)
        for conv in (*self.convs, self.project):
            assert isinstance(conv, nn.Conv2d)
            identity_init(conv, channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.margin:
            x = F.pad(x, (self.margin,) * 4)
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.project(x)


def multipliers(dilations: Sequence[int], width: Width) -> list[int]:
    """How many times the channels each 3x3 convolution gives out.

    >>> multipliers(DILATIONS[8], "large")
    [2, 2, 4, 8, 16, 32, 32]
    """
    if width == "basic":
        return [1] * len(dilations)
    grown = [2 * dilation for dilation in dilations[:-1]]
    return [*grown, grown[-1]]


@torch.no_grad()
def identity_init(conv: nn.Conv2d, groups: int, std: float = 0.01) -> None:
    """Weights that pass `groups` features on, each carried by `in_channels / groups` channels. Biases are zero.

    The centre tap from channel a to channel b is `groups / out_channels` where both carry the same feature, that is
    where floor(a * groups / in_channels) = floor(b * groups / out_channels). Every other weight is normal noise of
    standard deviation `std / m`, m being the channels that carry one feature on the wider side. With m channels for
    each feature, each carries 1/m of it, so that the next convolution's sum is the feature again.

    `groups` must divide both channel counts, and the kernel must have a centre; else `ValueError`.

    Source: Yu, Koltun, ICLR 2016, section 3, equation 5; the deviations from the authors' network.py.

    >>> conv = nn.Conv2d(2, 4, 1)
    >>> identity_init(conv, groups=2, std=0.0)
    >>> conv.weight[:, :, 0, 0].tolist()
    [[0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [0.0, 0.5]]
    """
    inputs, outputs = conv.in_channels, conv.out_channels
    if inputs % groups or outputs % groups or not all(k % 2 for k in conv.kernel_size):
        raise ValueError(f"identity_init needs odd kernels and channels that {groups} divides; got {conv}")
    nn.init.normal_(conv.weight, mean=0.0, std=std * groups / max(inputs, outputs))
    carried_in = torch.arange(inputs, device=conv.weight.device) * groups // inputs
    carried_out = torch.arange(outputs, device=conv.weight.device) * groups // outputs
    same = carried_out[:, None] == carried_in  # outputs,inputs
    centre = conv.weight[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2]
    centre.copy_(torch.where(same, groups / outputs, centre))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
