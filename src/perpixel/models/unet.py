"""U-Net: a contracting path, an expansive path, and at each resolution a skip from one to the other.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
arXiv:1505.04597. Sizes below are the paper's, for one tile of 572 x 572:

    tile 1,572                                              logits K,388
      │ conv conv                                             │ 1x1
     64,568  ───────────────────── crop, copy ───────────── 128,392 ─ conv conv ─ 64,388
      │ pool, conv conv                                       │ up-conv
    128,280  ───────────────────── crop, copy ───────────── 256,200 ─ conv conv ─ 128,196
      │ pool, conv conv                                       │ up-conv
    256,136  ───────────────────── crop, copy ───────────── 512,104 ─ conv conv ─ 256,100
      │ pool, conv conv                                       │ up-conv
    512,64   ───────────────────── crop, copy ──────────── 1024,56 ── conv conv ─ 512,52
      │ pool, conv conv                                       │ up-conv
      └──────────────────────── 1024,28 ──────────────────────┘

Differs from the paper:
- An image of any size is one tile: it is mirrored beyond its border up to the next size that the network can take,
  by 92 pixels or more, and the prediction is cut to the image. The paper's overlap-tile strategy does that per tile.
- `padding="same"`, `norm="batch"` and `width` are options that the paper does not have; the defaults are the paper's.
- Dropout stands after the last two levels of the contracting path; the paper says only that it is at its end.
- The paper's two-dimensional softmax and border-weighted loss are the trainer's business; biases start at zero.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.geometry import unet_valid_input, unet_valid_output
from perpixel.layers.init import kaiming_init
from perpixel.layers.norm import BatchNorm2d
from perpixel.layers.pad import mirror_pad, pad_end, round_up

Padding = Literal["valid", "same"]
Norm = Literal["none", "batch"]
DEPTH = 4
"""The number of poolings."""


class UNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `padding`, "valid" as in the paper, or "same", which pads convolutions with zeros and needs no margin, for
    less work on small images; `norm`, "none" as in the paper, or "batch", in place of the biases; `width`, the channels
    of the first level, doubled at each level below; `dropout`, the probability.
    """

    backbone_names: tuple[str, ...] = ()

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        padding: Padding = "valid",
        norm: Norm = "none",
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_choice("padding", padding, ("valid", "same"))
        check_choice("norm", norm, ("none", "batch"))
        self.padding = padding
        channels = [width * 2**level for level in range(DEPTH + 1)]  # 64, 128, 256, 512, 1024
        inputs = [in_channels, *channels]
        self.contracting = nn.ModuleList(two_convs(i, o, padding, norm) for i, o in zip(inputs, channels, strict=False))
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.dropout = nn.Dropout(dropout)
        self.expansive = nn.ModuleList(ExpansiveStep(c, padding, norm) for c in reversed(channels[:-1]))
        self.score = nn.Conv2d(width, num_classes, 1)
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        x = self.extend(image)
        skips: list[Tensor] = []
        for level, convs in enumerate(self.contracting):
            x = convs(x if level == 0 else self.pool(x))  # B,64*2^level,~H/2^level,~W/2^level
            if level >= DEPTH - 1:
                x = self.dropout(x)
            skips.append(x)
        skips.pop()
        for step in self.expansive:
            x = step(x, skips.pop())  # B,512,H/8,W/8 to B,64,H,W
        return {"logits": self.score(x)[..., :height, :width]}  # B,K,H,W

    def extend(self, image: Tensor) -> Tensor:
        """The image, padded to a size from which the network predicts every one of its pixels."""
        height, width = image.shape[-2], image.shape[-1]
        if self.padding == "same":
            return pad_end(image, (round_up(height, 2**DEPTH), round_up(width, 2**DEPTH)))
        size = (unet_valid_input(height, DEPTH), unet_valid_input(width, DEPTH))
        margin = (size[0] - unet_valid_output(size[0], DEPTH)) // 2  # 92
        return mirror_pad(image, (margin, margin), size)


class ExpansiveStep(nn.Module):
    """Up-convolution to half the channels and twice the size, the cropped skip beside it, two convolutions."""

    def __init__(self, channels: int, padding: Padding, norm: Norm) -> None:
        super().__init__()
        self.up_conv = nn.ConvTranspose2d(2 * channels, channels, kernel_size=2, stride=2)
        self.convs = two_convs(2 * channels, channels, padding, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`(B, 2C, h, w)` and a skip `(B, C, >= 2h, >= 2w)` -> `(B, C, 2h, 2w)`, less 4 with valid convolutions."""
        x = self.up_conv(x)
        return self.convs(torch.cat([crop_centre(skip, (x.shape[-2], x.shape[-1])), x], dim=1))


def two_convs(in_channels: int, out_channels: int, padding: Padding, norm: Norm) -> nn.Sequential:
    """Two 3x3 convolutions, each with ReLU (and batch norm before it, if asked for)."""
    parts: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        parts.append(nn.Conv2d(channels, out_channels, 3, padding=int(padding == "same"), bias=norm == "none"))
        if norm == "batch":
            parts.append(BatchNorm2d(out_channels, eps=1e-5, momentum=0.1))
        parts.append(nn.ReLU(inplace=True))
    return nn.Sequential(*parts)


def crop_centre(x: Tensor, size: Size) -> Tensor:
    """The middle of `(B, C, H, W)`; with an odd rest, the extra row or column is cut at the end."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(f'unet: {option} must be one of {", ".join(choices)}; got "{value}"')
