"""DeepLabv3: a deep map seen through dilated convolutions of several rates, and as a whole.

Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017,
arXiv:1706.05587; layers and sizes are those of torchvision's `deeplabv3_resnet50` and `deeplabv3_resnet101`.

    image B,C,H,W
      │
    ResNet, its stages 3 and 4 dilated in place of striding
      │ B,1024,H/8,W/8 ──── 3x3 256 ─ dropout ─ 1x1 ─ resize ─ aux B,K,H,W
    stage 4
      │ B,2048,H/8,W/8
    ASPP: 1x1, 3x3 of rates 12, 24, 36, image pooling
      │ B,256,H/8,W/8
    dropout ─ 3x3 ─ 1x1
      │ B,K,H/8,W/8
    resize ─ logits B,K,H,W

Differs from the paper:
- It is torchvision's network. The paper has other dilations in stage 4 (its multi-grid), trains at an output stride
  of 16 and with rates 6, 12, 18 (`output_stride=16`), and has neither the dropout and the 3x3 behind the pyramid nor the
  auxiliary head.
- The first block of stage 3 has dilation 1, and that of stage 4 dilation 2, as in torchvision.
- `output_stride=32` halves the rates once more; the paper names none for it.
- Differs from torchvision's in that one value a channel in training (image pooling of a batch of one, a map of 1 x 1) is
  normalised by the running statistics, and is no error. `aux` returns the auxiliary scores in train and in eval.
- Weights are fresh, and Kaiming's. `width` is an option for quick tests.
"""

from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.aspp import ASPP
from perpixel.layers.conv import conv_norm_act
from perpixel.layers.fcn_head import fcn_head
from perpixel.layers.init import kaiming_init
from perpixel.layers.resize import resize
from perpixel.models.backbones.dilated_resnet import DilatedResNet, at_output_stride

RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
"""Output stride -> the dilations of the pyramid's three 3x3 convolutions."""


class DeepLabV3(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}` and, with `aux=True`, `"aux"` of the same shape, whose loss torchvision's
    training weighs by 0.5.

    Options: `depth`, 50, 101 or 152; `aux`, the auxiliary head on stage 3; `dropout`, the probability behind the
    pyramid; `aux_dropout`, that of the auxiliary head; `width`, the channels of the first convolution, 64 in
    torchvision, of which all others are multiples; `output_stride`, 8, 16 or 32, of the deep map. Raises `UserError` for
    another depth or output stride.
    """

    backbone_names = ("backbone",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        depth: int = 50,
        aux: bool = False,
        width: int = 64,
        dropout: float = 0.5,
        aux_dropout: float = 0.1,
        output_stride: int = 8,
    ) -> None:
        super().__init__()
        if output_stride not in RATES:
            raise UserError(f"output_stride must be one of {', '.join(map(str, RATES))}; got {output_stride}")
        strides, dilations = at_output_stride(output_stride)
        self.backbone = DilatedResNet(depth, in_channels, width, dilations, strides, stem="plain")
        stage3, stage4 = self.backbone.channels[-2:]
        channels = 4 * width
        self.aspp = ASPP(stage4, channels, RATES[output_stride], separable=False)
        self.dropout = nn.Dropout(dropout)
        self.mix = conv_norm_act(channels, channels, 3)
        self.score = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary = fcn_head(stage3, stage3 // 4, num_classes, aux_dropout) if aux else None
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        size = (image.shape[-2], image.shape[-1])
        *_, stage3, stage4 = self.backbone(image)  # B,1024,H/8,W/8 and B,2048,H/8,W/8
        x = self.mix(self.dropout(self.aspp(stage4)))  # B,256,H/8,W/8
        output = {"logits": resize(self.score(x), size, align_corners=False)}  # B,K,H,W
        if self.auxiliary is not None:
            output["aux"] = resize(self.auxiliary(stage3), size, align_corners=False)  # B,K,H,W
        return output
