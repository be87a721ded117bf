"""Dilated residual networks for segmentation: the classifier's trunk, one 1x1 convolution, bilinear upsampling.

Yu, Koltun, Funkhouser, "Dilated Residual Networks", CVPR 2017, arXiv:1705.09914.

    image B,C,H,W
      │
    trunk: DRN-A, B, C or D, see backbones/drn.py
      │ B,512,H/8,W/8 (A-50: 2048)
     1x1
      │ B,K,H/8,W/8
     x8, a fixed transposed convolution ─ logits B,K,H,W

Differs from the paper:
- DRN-A follows the authors' code, in which no convolution of the first block of the last two stages is dilated. The
  paper dilates all but the first convolution of stage 3 by 2, the first of stage 4 by 2 and the others by 4.
- The authors publish code for A-50, C and D. A-18, A-34 and B-26 are put together here from its parts and the paper.
- Sizes need not be multiples of 8: maps are rounded up and the logits are cut. Weights are fresh, not ImageNet's.
- Bottlenecks stride in their 3x3 convolution, as the authors' code does.
- The log-softmax of the authors' code is the trainer's business. `width` is an option for quick tests.
"""

import math
from collections.abc import Callable

from torch import Tensor, nn

from perpixel.layers.fixed_upsample import FixedUpsample
from perpixel.models.backbones.drn import DRN


class DRNSeg(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`. `name` is a key of `backbones.drn.ARCHITECTURES`. Option: `width`, which
    multiplies the channels of the whole trunk, 1 is the paper's.
    """

    backbone_names = ("trunk",)

    def __init__(self, name: str, num_classes: int, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = DRN(name, in_channels, width)
        self.score = nn.Conv2d(self.trunk.channels[-1], num_classes, 1)
        self.upsample = FixedUpsample(num_classes, stride=8)
        assert self.score.bias is not None
        nn.init.normal_(self.score.weight, mean=0.0, std=math.sqrt(2 / num_classes))
        nn.init.zeros_(self.score.bias)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.trunk(image)[-1]  # B,512,ceil(H/8),ceil(W/8)
        logits = self.upsample(self.score(features))  # B,K,8 ceil(H/8),8 ceil(W/8)
        return {"logits": logits[..., : image.shape[-2], : image.shape[-1]]}  # B,K,H,W


def segmenter(name: str) -> Callable[..., DRNSeg]:
    """What builds the segmentation network `name`."""

    def build(num_classes: int, in_channels: int = 3, width: float = 1.0) -> DRNSeg:
        return DRNSeg(name, num_classes, in_channels, width)

    build.__name__ = build.__qualname__ = name
    return build


drn_a_18 = segmenter("drn_a_18")
drn_a_34 = segmenter("drn_a_34")
drn_a_50 = segmenter("drn_a_50")
drn_b_26 = segmenter("drn_b_26")
drn_c_26 = segmenter("drn_c_26")
drn_c_42 = segmenter("drn_c_42")
drn_c_58 = segmenter("drn_c_58")
drn_d_22 = segmenter("drn_d_22")
drn_d_24 = segmenter("drn_d_24")
drn_d_38 = segmenter("drn_d_38")
drn_d_40 = segmenter("drn_d_40")
drn_d_54 = segmenter("drn_d_54")
drn_d_56 = segmenter("drn_d_56")
drn_d_105 = segmenter("drn_d_105")
drn_d_107 = segmenter("drn_d_107")
