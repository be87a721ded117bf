"""DeepLabv3+: atrous separable pyramid pooling on a deep map, and a small decoder that brings edges back.

Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", ECCV 2018, arXiv:1802.02611.

    image B,C,H,W
      │
    modified aligned Xception-65 ────── low-level features B,256,H/4,W/4
      │ B,2048,H/16,W/16                  │
    ASPP: 1x1, separable 3x3 of          1x1 ─ B,48,H/4,W/4
    rates 6, 12, 18, image pooling        │
      │ B,256,H/16,W/16                   │
    dropout ─ resize x4 ──────────── concat B,304,H/4,W/4
                                          │
                                        separable 3x3, twice
                                          │ B,256,H/4,W/4
                                        1x1 ─ resize ─ logits B,K,H,W

Differs from the paper:
- Weights are fresh, not ImageNet's or JFT's: Kaiming's in the trunk; those of the head are the authors' code's.
- Batch norms forget by 0.1 a step, as is PyTorch's habit, for training from scratch; `norm_momentum=3e-4` is the paper's
  decay of 0.9997, for weights that have already been trained.
- Any size: the paper's crops have 16n + 1 rows and columns, so that corners of map and image coincide. Here an image is
  padded to such a size by repeating its last row and column, and the logits are cut.
- `encoder` may be any of timm's that has stages of stride 4 and of the output stride; pixels are then areas, without
  coinciding corners. timm's own "xception65" is the same trunk, and has ImageNet weights.
- So are they with "dilated_resnet50", "dilated_resnet101" and "dilated_resnet152", ResNets whose maps have the sizes of
  the image, rounded up, where timm's want an image of a multiple of 4. With `separable=False` and `decoder_convs=1`
  that is VainF's network (github.com/VainF/DeepLabV3Plus-Pytorch).
- `output_stride=32` halves the rates, as 8 doubles them; the paper names none for it.
- `width` is an option for quick tests.
"""

import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.aspp import ASPP
from perpixel.layers.conv import conv_norm_act
from perpixel.layers.init import kaiming_init
from perpixel.layers.resize import resize
from perpixel.layers.separable import separable_conv
from perpixel.models.backbones.dilated_resnet import DilatedResNet, at_output_stride
from perpixel.models.backbones.timm_encoder import TimmEncoder
from perpixel.models.backbones.xception import AlignedXception

PAPERS = "aligned_xception"
"""The encoder that is the paper's, and not one of timm's."""

RESNETS = {"dilated_resnet50": 50, "dilated_resnet101": 101, "dilated_resnet152": 152}
"""Encoders that are not timm's either -> their depth."""

RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
"""Output stride -> the dilations of the pyramid's three 3x3 convolutions."""


class DeepLabV3Plus(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`. The paper's images are scaled to [-1, 1].

    Options: `encoder`, "aligned_xception", "dilated_resnet50", "..101" or "..152", or a name of `timm.list_models()`;
    `pretrained`, whether to load the timm encoder's ImageNet weights, from the local cache or the network;
    `output_stride`, 8, 16 or 32, of the deep map; `width`, which multiplies the channels of head and own trunk; `dropout`,
    the probability behind the pyramid; `norm_momentum`, the share of a step in the running statistics; `separable`,
    whether the 3x3 convolutions of pyramid and decoder are depthwise separable; `decoder_convs`, how many 3x3 the
    decoder has.

    Raises `UserError` for another output stride, for no convolution in the decoder, and for an encoder or weights that
    cannot be had.
    """

    backbone_names = ("encoder",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = PAPERS,
        pretrained: bool | str = False,
        output_stride: int = 16,
        width: float = 1.0,
        dropout: float = 0.1,
        norm_momentum: float = 0.1,
        separable: bool = True,
        decoder_convs: int = 2,
    ) -> None:
        super().__init__()
        if decoder_convs < 1:
            raise UserError(f"decoder_convs must be 1 or more; got {decoder_convs}")
        self.encoder = make_encoder(encoder, in_channels, pretrained, output_stride, width)
        self.align_corners = encoder == PAPERS
        low_channels, deep_channels = self.encoder.channels
        channels, slim = round(256 * width), round(48 * width)
        self.aspp = ASPP(deep_channels, channels, RATES[output_stride], separable=separable)
        self.dropout = nn.Dropout(dropout)
        self.low_level = conv_norm_act(low_channels, slim, 1)
        self.decoder = nn.Sequential(
            *(
                separable_conv(inputs, channels, eps=1e-5, act=True)
                if separable
                else conv_norm_act(inputs, channels, 3)
                for inputs in [channels + slim] + [channels] * (decoder_convs - 1)
            )
        )
        self.score = nn.Conv2d(channels, num_classes, 1)
        for part in (self.aspp, self.low_level, self.decoder):
            head_init(part)
        nn.init.trunc_normal_(self.score.weight, std=0.01, a=-0.02, b=0.02)
        assert self.score.bias is not None
        nn.init.zeros_(self.score.bias)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        image = self.encoder.extend(image)
        low, deep = self.encoder(image)  # B,256,H/4,W/4 and B,2048,H/16,W/16
        context = self.dropout(self.aspp(deep))  # B,256,H/16,W/16
        context = resize(context, (low.shape[-2], low.shape[-1]), align_corners=self.align_corners)
        fused = self.decoder(torch.cat([context, self.low_level(low)], dim=1))  # B,256,H/4,W/4
        logits = resize(self.score(fused), (image.shape[-2], image.shape[-1]), align_corners=self.align_corners)
        return {"logits": logits[..., :height, :width]}  # B,K,H,W


class ResNetEncoder(nn.Module):
    """Image `(B, C, H, W)` -> stages 1 and 4 of a dilated ResNet, as ASPP and decoder want them."""

    def __init__(self, depth: int, in_channels: int, output_stride: int, width: float) -> None:
        super().__init__()
        strides, dilations = at_output_stride(output_stride)
        self.trunk = DilatedResNet(depth, in_channels, round(64 * width), dilations, strides, stem="plain")
        self.channels = (self.trunk.channels[0], self.trunk.channels[-1])

    def extend(self, image: Tensor) -> Tensor:
        """The image as it is: any size will do."""
        return image

    def forward(self, image: Tensor) -> list[Tensor]:
        stages = self.trunk(image)
        return [stages[0], stages[-1]]  # B,256,~H/4,~W/4 and B,2048,~H/s,~W/s


def make_encoder(
    name: str, in_channels: int, pretrained: bool | str, output_stride: int, width: float
) -> AlignedXception | ResNetEncoder | TimmEncoder:
    """The trunk, which gives a map of stride 4 and one of `output_stride`."""
    if output_stride not in RATES:
        raise UserError(f"output_stride must be one of {', '.join(map(str, RATES))}; got {output_stride}")
    if name != PAPERS and name not in RESNETS:
        return TimmEncoder(name, in_channels, pretrained, strides=(4, output_stride), output_stride=output_stride)
    if pretrained and pretrained != "no":
        peer = name.removeprefix("dilated_") if name in RESNETS else "xception65"
        raise UserError(f'There are no pretrained weights of {name}; timm has those of encoder="{peer}".')
    trunk = (
        ResNetEncoder(RESNETS[name], in_channels, output_stride, width)
        if name in RESNETS
        else AlignedXception(in_channels, output_stride, width)
    )
    kaiming_init(trunk)
    return trunk


def head_init(part: nn.Module) -> None:
    """Weights of the authors' code: truncated normal in separable convolutions, Glorot's in the others."""
    for name, conv in part.named_modules():
        if not isinstance(conv, nn.Conv2d):
            continue
        step = name.rpartition(".")[-1]
        std = {"depthwise": 0.33, "pointwise": 0.06}.get(step)
        if std is None:
            nn.init.xavier_uniform_(conv.weight)
        else:
            nn.init.trunc_normal_(conv.weight, std=std, a=-2 * std, b=2 * std)
