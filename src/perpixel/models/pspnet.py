"""PSPNet: a dilated ResNet, and what the whole map holds at four scales beside every position.

Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", CVPR 2017, arXiv:1612.01105.

    image B,C,H,W
      │
    dilated ResNet with a deep stem
      │ B,1024,H/8,W/8 ──── 3x3 256 ─ dropout ─ 1x1 ─ resize ─ aux B,K,H,W
    stage 4
      │ B,2048,H/8,W/8
    pyramid pooling, bins 1, 2, 3, 6
      │ B,4096,H/8,W/8
     3x3 512 ─ dropout ─ 1x1
      │ B,K,H/8,W/8
    resize ─ logits B,K,H,W

Differs from the paper:
- Any size: the paper's crops have 8n + 1 rows and columns, so that corners of map and image coincide. Here an image is
  padded to such a size by repeating its last row and column, and the logits are cut.
- Pooling is adaptive, as in the authors' PyTorch code; their Caffe model has fixed windows, the same at its crop's size.
- The stride of stage 2 is on the 3x3 convolution, as in their PyTorch code; their Caffe model has it on the 1x1.
- Dropout is of single values, as in Caffe; their PyTorch code drops whole channels.
- Batch norms are not synchronised, and one value a channel (a batch of one at bin 1) is normalised by the running
  statistics. Weights are fresh, not ImageNet's.
- `aux` returns the auxiliary scores in train and in eval. `width` is an option for quick tests.
"""

from torch import Tensor, nn

from perpixel.layers.fcn_head import fcn_head
from perpixel.layers.init import kaiming_init
from perpixel.layers.pad import pad_end, round_up
from perpixel.layers.pyramid_pooling import PyramidPooling
from perpixel.layers.resize import resize
from perpixel.models.backbones.dilated_resnet import DilatedResNet


class PSPNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}` and, with `aux=True`, `"aux"` of the same shape, whose loss the paper weighs
    by 0.4.

    Options: `depth`, 50, 101 or 152; `aux`, the auxiliary head on stage 3; `dropout`, the probability, in both heads;
    `width`, the channels of the first convolution, 64 in the paper, of which all others are multiples. Raises
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
        self.backbone = DilatedResNet(depth, in_channels, width)
        stage3, stage4 = self.backbone.channels[-2:]
        self.pyramid_pooling = PyramidPooling(stage4, bins=(1, 2, 3, 6), align_corners=True)
        self.head = fcn_head(2 * stage4, 8 * width, num_classes, dropout)
        self.auxiliary = fcn_head(stage3, 4 * width, num_classes, dropout) if aux else None
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        image = pad_end(image, (round_up(height - 1, 8) + 1, round_up(width - 1, 8) + 1))
        size = (image.shape[-2], image.shape[-1])
        *_, stage3, stage4 = self.backbone(image)  # B,1024,H/8,W/8 and B,2048,H/8,W/8
        scores = self.head(self.pyramid_pooling(stage4))  # B,K,H/8,W/8
        output = {"logits": resize(scores, size, align_corners=True)[..., :height, :width]}  # B,K,H,W
        if self.auxiliary is not None:
            aux = resize(self.auxiliary(stage3), size, align_corners=True)
            output["aux"] = aux[..., :height, :width]  # B,K,H,W
        return output
