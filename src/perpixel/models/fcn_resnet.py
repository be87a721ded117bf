"""FCN on a dilated ResNet: a deep map at an eighth of the image, a small head, bilinear upsampling. A baseline.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, arXiv:1411.4038, for the
idea; layers and sizes are those of torchvision's `fcn_resnet50` and `fcn_resnet101`.

    image B,C,H,W
      │
    ResNet, its stages 3 and 4 dilated in place of striding
      │ B,1024,H/8,W/8 ──── 3x3 256 ─ dropout ─ 1x1 ─ resize ─ aux B,K,H,W
    stage 4
      │ B,2048,H/8,W/8
     3x3 512 ─ dropout ─ 1x1
      │ B,K,H/8,W/8
    resize ─ logits B,K,H,W

Differs from the paper:
- All but the idea: ResNet and dilation for VGG-16 and skips, a head of its own, bilinear resizing for transposed
  convolutions. `fcn32s`, `fcn16s` and `fcn8s` are the paper's networks.
- Differs from torchvision's in that one value a channel in training (a map of 1 x 1) is normalised by the running
  statistics, and is no error. `aux` returns the auxiliary scores in train and in eval, as there.
- Weights are fresh, and Kaiming's. `width` is an option for quick tests.
"""

from torch import Tensor, nn

from perpixel.layers.fcn_head import fcn_head
from perpixel.layers.init import kaiming_init
from perpixel.layers.resize import resize
from perpixel.models.backbones.dilated_resnet import LATE_DILATIONS, DilatedResNet


class FCNResNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}` and, with `aux=True`, `"aux"` of the same shape, whose loss torchvision's
    training weighs by 0.5.

    Options: `depth`, 50, 101 or 152; `aux`, the auxiliary head on stage 3; `dropout`, the probability, in both heads;
    `width`, the channels of the first convolution, 64 in torchvision, of which all others are multiples. Raises
    `UserError` for another depth.
    """

    backbone_names = ("backbone",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        depth: int = 50,
        aux: bool = False,
        width: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = DilatedResNet(depth, in_channels, width, LATE_DILATIONS, stem="plain")
        stage3, stage4 = self.backbone.channels[-2:]
        self.head = fcn_head(stage4, stage4 // 4, num_classes, dropout)
        self.auxiliary = fcn_head(stage3, stage3 // 4, num_classes, dropout) if aux else None
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        size = (image.shape[-2], image.shape[-1])
        *_, stage3, stage4 = self.backbone(image)  # B,1024,H/8,W/8 and B,2048,H/8,W/8
        output = {"logits": resize(self.head(stage4), size, align_corners=False)}  # B,K,H,W
        if self.auxiliary is not None:
            output["aux"] = resize(self.auxiliary(stage3), size, align_corners=False)  # B,K,H,W
        return output
