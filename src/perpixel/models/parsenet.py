"""ParseNet: the average of the whole map beside every position, both normalised first.

Liu, Rabinovich, Berg, "ParseNet: Looking Wider to See Better", arXiv:1506.04579.

    image B,C,H,W
      │
    VGG-16 with DeepLab's large field of view
      │ fc7 B,1024,H/8,W/8
      ├───────────────────────┐
      │                  global average
      │                       │ B,1024,1,1
    L2 norm                L2 norm             with a learned scale a channel
      │                       │ unpool: the same vector everywhere
      └────────concat─────────┘
                 │ B,2048,H/8,W/8
                1x1                            early fusion; late fusion: a 1x1 on each side, scores added
                 │ B,K,H/8,W/8
               resize ─ logits B,K,H,W

Without the normalisation the map of larger numbers would drown the other. As the classifier is linear, early and late
fusion can express the same; they differ in how their weights start and decay, and by K biases.

Differs from the paper:
- One base, DeepLab-LargeFOV, which the paper uses for VOC. It uses FCN-32s for SIFT Flow and PASCAL-Context, and also
  tries features of conv4 and conv5 beside fc7.
- Any size: an image is padded to 8n + 1 rows and columns, DeepLab's crops, by repeating its last row and column, and
  the logits are cut. Corners of map and image coincide, as in DeepLab.
- The authors' network files could not be had: the number of parameters is worked out from the text, and the dropout of
  0.5 stands behind fc6 and fc7, as in VGG-16. Weights are fresh, Kaiming's. `width` is an option for quick tests.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.init import kaiming_init
from perpixel.layers.l2norm import L2Norm
from perpixel.layers.pad import pad_end, round_up
from perpixel.layers.resize import resize

Fusion = Literal["early", "late"]


class ParseNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `fusion`, "early" or "late"; `initial_scale`, of both normalisations; `width`, the channels of the first
    convolutions, 64 in the paper, of which all others are multiples; `dropout`, the probability. Raises `UserError` for
    another fusion.
    """

    backbone_names = ("backbone",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        fusion: Fusion = "early",
        initial_scale: float = 10.0,
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if fusion not in ("early", "late"):
            raise UserError(f'parsenet: fusion must be one of early, late; got "{fusion}"')
        self.backbone = LargeFOV(in_channels, width, dropout)
        context = EarlyFusion if fusion == "early" else LateFusion
        self.context = context(16 * width, num_classes, initial_scale)
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        image = pad_end(image, (round_up(height - 1, 8) + 1, round_up(width - 1, 8) + 1))
        scores = self.context(self.backbone(image))  # B,K,H/8,W/8
        logits = resize(scores, (image.shape[-2], image.shape[-1]), align_corners=True)
        return {"logits": logits[..., :height, :width]}  # B,K,H,W


class EarlyFusion(nn.Module):
    """`(B, C, h, w)` -> `(B, K, h, w)`: local and global features side by side, one classifier."""

    def __init__(self, channels: int, num_classes: int, initial_scale: float) -> None:
        super().__init__()
        self.norm_local = L2Norm(channels, initial_scale, eps=1e-10)
        self.norm_global = L2Norm(channels, initial_scale, eps=1e-10)
        self.score = nn.Conv2d(2 * channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        everywhere = self.norm_global(F.adaptive_avg_pool2d(x, 1)).expand_as(x)  # B,C,h,w
        return self.score(torch.cat([self.norm_local(x), everywhere], dim=1))


class LateFusion(nn.Module):
    """`(B, C, h, w)` -> `(B, K, h, w)`: local and global features classified apart, scores added."""

    def __init__(self, channels: int, num_classes: int, initial_scale: float) -> None:
        super().__init__()
        self.norm_local = L2Norm(channels, initial_scale, eps=1e-10)
        self.norm_global = L2Norm(channels, initial_scale, eps=1e-10)
        self.score_local = nn.Conv2d(channels, num_classes, 1)
        self.score_global = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        everywhere = self.score_global(self.norm_global(F.adaptive_avg_pool2d(x, 1)))  # B,K,1,1
        return self.score_local(self.norm_local(x)) + everywhere


class LargeFOV(nn.Module):
    """VGG-16 as in DeepLab-LargeFOV: `(B, C, H, W)` -> fc7 `(B, 1024, ceil(H/8), ceil(W/8))`.

    Poolings are 3x3; the last two have stride 1, what follows the first of them has dilation 2, and fc6 is a 3x3 of
    dilation 12.

    Source: Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015.
    """

    def __init__(self, in_channels: int, width: int, dropout: float) -> None:
        super().__init__()
        multiples = [1] * 2 + [2] * 2 + [4] * 3 + [8] * 6
        pool_strides = {2: 2, 4: 2, 7: 2, 10: 1, 13: 1}
        parts: list[nn.Module] = []
        inputs = in_channels
        for number, multiple in enumerate(multiples, start=1):
            dilation = 2 if number > 10 else 1
            parts += [
                nn.Conv2d(inputs, multiple * width, 3, padding=dilation, dilation=dilation),
                nn.ReLU(inplace=True),
            ]
            inputs = multiple * width
            if number in pool_strides:
                parts.append(nn.MaxPool2d(kernel_size=3, stride=pool_strides[number], padding=1))
        self.convs = nn.Sequential(*parts)
        self.fc6 = nn.Conv2d(8 * width, 16 * width, 3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(16 * width, 16 * width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, image: Tensor) -> Tensor:
        x = self.convs(image)  # B,512,H/8,W/8
        x = self.dropout(F.relu(self.fc6(x)))  # B,1024,H/8,W/8
        return self.dropout(F.relu(self.fc7(x)))  # B,1024,H/8,W/8
