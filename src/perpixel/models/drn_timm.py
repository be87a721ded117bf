"""A ResNet of timm whose last strides are dilations, one 1x1 convolution, bilinear upsampling: DRN-A with any weights.

Yu, Koltun, Funkhouser, "Dilated Residual Networks", CVPR 2017, arXiv:1705.09914, section 3.

    image B,C,H,W
      │
    encoder, dilated beyond the output stride
      │ B,2048,H/8,W/8      resnet50
     1x1
      │ B,K,H/8,W/8
    resize ─ logits B,K,H,W

Differs from the paper:
- The encoder is timm's, so that its many pretrained ResNets can be used (`pretrained=True`); the paper's own networks are
  `drn_a_18` and so on. In timm the first block of a dilated stage keeps the dilation of the stage before.
- Bilinear resizing in place of the fixed transposed convolution.
"""

from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.resize import resize
from perpixel.models.backbones.timm_encoder import TimmEncoder


class DRNTimm(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `encoder`, a name of timm that can be dilated, such as resnet18 to resnet152 and their relatives;
    `output_stride`, 8, 16 or 32; `pretrained`, whether timm's weights are fetched. Raises `UserError` for another stride
    and for an encoder that cannot have it.
    """

    backbone_names = ("encoder",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "resnet50",
        output_stride: int = 8,
        pretrained: bool | str = False,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise UserError(f"output_stride must be one of 8, 16, 32; got {output_stride}")
        self.encoder = TimmEncoder(encoder, in_channels, pretrained, (output_stride,), output_stride)
        self.score = nn.Conv2d(self.encoder.channels[-1], num_classes, 1)
        nn.init.normal_(self.score.weight, mean=0.0, std=0.01)
        assert self.score.bias is not None
        nn.init.zeros_(self.score.bias)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        extended = self.encoder.extend(image)
        scores = self.score(self.encoder(extended)[-1])  # B,K,~H/8,~W/8
        logits = resize(scores, (extended.shape[-2], extended.shape[-1]), align_corners=False)
        return {"logits": logits[..., : image.shape[-2], : image.shape[-1]]}  # B,K,H,W
