"""Deformable DeepLab: a dilated ResNet-101 whose last three 3x3 convolutions choose where they look.

Dai, Qi, Xiong, Li, Zhang, Hu, Wei, "Deformable Convolutional Networks", ICCV 2017, arXiv:1703.06211. Sizes, and what
the paper leaves open, are those of the authors' code (github.com/msracver/Deformable-ConvNets, deeplab/symbols).

    image B,C,H,W
      │
    ResNet, stages 1 to 3
      │ B,1024,H/16,W/16
    stage 4, stride 1: in each of 3 blocks   1x1 ─┬─ deformable 3x3, dilation 2 ─ 1x1
      │                                           └─ 3x3 ─ offsets B,18,H/16,W/16
      │ B,2048,H/16,W/16
     1x1 1024 ─ ReLU ─ 1x1
      │ B,K,H/16,W/16
    x16, a fixed transposed convolution ─ logits B,K,H,W

Differs from the paper:
- ResNet's strides are on the 3x3 convolutions and its max pooling is padded by 1, as in torchvision, whose weights fit.
  The authors' have the strides on the 1x1, and an unpadded pooling that rounds up.
- The operator is torchvision's, which samples as the authors' second version: beyond a border a value fades to zero
  within a pixel. Their first one has zeros before the first row and column, and repeats the last.
- The authors normalise by ImageNet's statistics throughout and train neither the norms' parameters nor the stem and
  stage 1. Here `frozen_norms=True` does so for the norms, which is of use only with weights that were trained before;
  stem and stage 1 are trained. The double learning rate of the offsets' biases is the trainer's business.
- Sizes need not be multiples of 16: maps are rounded up and the logits are cut. Weights are fresh, not ImageNet's.
- `depth` and `width` are options; the paper has 101 and 64.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.layers.deformable import make_deformable
from perpixel.layers.fixed_upsample import FixedUpsample
from perpixel.layers.init import kaiming_init
from perpixel.models.backbones.dilated_resnet import DilatedResNet

DEFORMABLE = tuple(f"backbone.stages.3.{block}.convs.1.conv" for block in range(3))
"""The 3x3 convolutions of stage 4. They work on a map of stride 16."""


class DeformableDeepLab(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `deformable`, whether stage 4 has its offsets; without, it is the paper's plain DeepLab, which the
    deformable one equals as long as all offsets are zero, as at the start. `depth`, 50, 101 or 152; `frozen_norms`,
    whether batch norms keep parameters and statistics in training; `width`, the channels of the first convolution, 64
    in the paper, of which all others are multiples. Raises `UserError` for another depth.
    """

    backbone_names = ("backbone",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        deformable: bool = True,
        depth: int = 101,
        frozen_norms: bool = False,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.backbone = DilatedResNet(
            depth, in_channels, width, ((1, 1), (1, 1), (1, 1), (2, 2)), strides=(1, 2, 2, 1), stem="plain"
        )
        self.fc6 = nn.Conv2d(self.backbone.channels[-1], 16 * width, 1)
        self.score = nn.Conv2d(16 * width, num_classes, 1)
        self.upsample = FixedUpsample(num_classes, stride=16)
        kaiming_init(self.backbone)
        for conv in (self.fc6, self.score):
            nn.init.normal_(conv.weight, mean=0.0, std=0.01)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        if deformable:
            make_deformable(self, DEFORMABLE, offset_groups=1, offset_dilation=1)
        self.frozen_norms = frozen_norms
        if frozen_norms:
            for norm in self.norms():
                norm.requires_grad_(False)

    def norms(self) -> list[nn.BatchNorm2d]:
        return [part for part in self.modules() if isinstance(part, nn.BatchNorm2d)]

    def train(self, mode: bool = True) -> "DeformableDeepLab":
        """As any module's, except that frozen batch norms stay in eval."""
        super().train(mode)
        if self.frozen_norms:
            for norm in self.norms():
                norm.eval()
        return self

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone(image)[-1]  # B,2048,ceil(H/16),ceil(W/16)
        scores = self.score(F.relu(self.fc6(features)))  # B,K,ceil(H/16),ceil(W/16)
        logits = self.upsample(scores)  # B,K,16 ceil(H/16),16 ceil(W/16)
        return {"logits": logits[..., : image.shape[-2], : image.shape[-1]]}  # B,K,H,W
