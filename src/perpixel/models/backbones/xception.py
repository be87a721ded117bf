"""Modified aligned Xception-65, the trunk of DeepLabv3+.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018, arXiv:1802.02611, figure 4; Chollet,
"Xception", CVPR 2017, arXiv:1610.02357. What the figure leaves open is that of the authors' TensorFlow code.

Differs from Chollet's: 16 middle modules, not 8; every max pooling is a strided separable convolution; batch norm
behind every depthwise step too, and ReLU behind both steps in the last module.
"""

from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.norm import BatchNorm2d
from perpixel.layers.pad import pad_end, round_up
from perpixel.layers.separable import separable_conv

Skip = Literal["conv", "sum", "none"]

EPS = 1e-3
"""Of every batch norm of the trunk: with the decoder's 1e-5, weights trained at 1e-3 give other features."""


class AlignedXception(nn.Module):
    """Image `(B, C, H, W)` -> two maps, finest first: `(B, 256, H/4, W/4)` and `(B, 2048, H/s, W/s)`, s `output_stride`.

        stem      3x3 stride 2 and 3x3              64, H/2
        entry     modules 1, 2, 3, of stride 2     128, H/4    256, H/8    728, H/16
        middle    16 modules                       728, H/16
        exit      2 modules                       1024, H/16  2048, H/16   the second dilated by 2

    Sizes are rounded up, so that 16n + 1 rows become n + 1. The finer map is that of the second unit of module 2, in
    front of its stride and of a ReLU. Where the stride so far has reached `output_stride` (8, 16 or 32), further
    strides turn into dilation of all that follows. `width` multiplies all channels; 1 is the paper's.

    Raises `UserError` for another output stride.
    """

    def __init__(self, in_channels: int = 3, output_stride: int = 16, width: float = 1.0) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise UserError(f"output_stride must be one of 8, 16, 32; got {output_stride}")
        c32, c64, c128, c256, c728, c1024, c1536, c2048 = (
            round(c * width) for c in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        steps = [min(stride, output_stride) for stride in (2, 4, 8, 16, 32)]  # the stride so far, stem to exit
        _, stride2, stride3, stride4 = (after // before for before, after in pairwise(steps))
        middle = 16 // steps[3]  # the dilation that the strides left out so far amount to
        last = 32 // steps[4]
        self.channels, self.strides = (c256, c2048), (4, output_stride)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, c32, 3, stride=2, padding=1, bias=False),
            BatchNorm2d(c32, eps=EPS, momentum=0.1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c32, c64, 3, padding=1, bias=False),
            BatchNorm2d(c64, eps=EPS, momentum=0.1),
            nn.ReLU(inplace=True),
        )
        self.entry1 = XceptionModule(c64, (c128, c128, c128), "conv", stride=2)
        self.entry2 = XceptionModule(c128, (c256, c256, c256), "conv", stride=stride2)
        self.entry3 = XceptionModule(c256, (c728, c728, c728), "conv", stride=stride3)
        self.middle = nn.ModuleList(XceptionModule(c728, (c728,) * 3, "sum", dilation=middle) for _ in range(16))
        self.exit1 = XceptionModule(c728, (c728, c1024, c1024), "conv", stride=stride4, dilation=middle)
        self.exit2 = XceptionModule(c1024, (c1536, c1536, c2048), "none", dilation=last)

    def extend(self, image: Tensor) -> Tensor:
        """The image, its last row and column repeated until corners of all maps lie on corners of the image."""
        step = self.strides[-1]
        height, width = (round_up(length - 1, step) + 1 for length in image.shape[-2:])
        return pad_end(image, (height, width))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)  # B,64,H/2,W/2
        x, _ = self.entry1(x)  # B,128,H/4,W/4
        x, low_level = self.entry2(x)  # B,256,H/8,W/8 and B,256,H/4,W/4
        x, _ = self.entry3(x)  # B,728,H/16,W/16
        for module in self.middle:
            x, _ = module(x)
        x, _ = self.exit1(x)  # B,1024,H/16,W/16
        x, _ = self.exit2(x)  # B,2048,H/16,W/16
        return [low_level, x]


class XceptionModule(nn.Module):
    """Three separable convolutions, the last of which strides, and a shortcut around them.

    `(B, in, h, w)` -> `(B, outputs[2], ceil(h/s), ceil(w/s))` and the second convolution's output `(B, outputs[1], h, w)`.

    `skip` is the shortcut: "conv", 1x1 with batch norm; "sum", the input itself, not its ReLU; "none". With "none" ReLUs
    stand behind both steps of each convolution, otherwise one in front of it.
    """

    def __init__(
        self, inputs: int, outputs: tuple[int, int, int], skip: Skip, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.skip = skip
        sizes = zip((inputs, *outputs), outputs, (1, 1, stride), strict=False)
        self.units = nn.ModuleList(
            separable_conv(i, o, stride=s, dilation=dilation, eps=EPS, act=skip == "none") for i, o, s in sizes
        )
        self.shortcut = shortcut(inputs, outputs[-1], stride) if skip == "conv" else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = [x]
        for unit in self.units:
            maps.append(unit(maps[-1] if self.skip == "none" else F.relu(maps[-1])))
        out = maps[3] if self.skip == "none" else maps[3] + self.shortcut(x)
        return out, maps[2]


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """1x1 convolution with batch norm: `(B, inputs, h, w)` -> `(B, outputs, ceil(h/s), ceil(w/s))`."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), BatchNorm2d(outputs, eps=EPS, momentum=0.1)
    )
