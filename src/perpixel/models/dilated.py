"""Dilated convolutions: VGG-16 without its last two poolings, and a context module behind it.

Yu, Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016, arXiv:1511.07122.
Sizes below are those of the authors' VOC model, for one tile of 900 x 900:

    image, mirrored 186 pixels beyond its border: 3,900
      │ conv1, conv1, pool        64,448
      │ conv2, conv2, pool       128,222
      │ conv3 three times, pool  256,108
      │ conv4 three times        512,102       here VGG-16 pools,
      │ conv5 three times, d2    512,90        and here: the dilations of what follows stand for that
      │ fc6 7x7, d4             4096,66
      │ fc7 1x1                 4096,66
      │ final 1x1                  K,66        the front-end's scores
      │ context module             K,66        `dilation8` only
      │ x8                         K,528
    logits K,528

No convolution is padded, so that 372 rows and columns are lost: the border that was added.

Differs from the paper:
- An image of any size is one tile: mirrored by 186 and up to the next multiple of 8, the mirror image mirrored in turn
  where the image is smaller than that. The logits are cut to the image. The authors cut large images into tiles.
- Bilinear resizing of the scores, around the centres of their receptive fields. The released code interpolates
  probabilities, and puts score i on pixel 8i, 3.5 pixels off the centre. `upsample="transposed"` is the fixed
  transposed convolution of the released Cityscapes model.
- The scores are as dense in training as in prediction; the authors train on every eighth label.
- VGG-16's weights are not loaded here; fresh ones are Kaiming's. `width` is an option for quick tests.
- `context="large"` pads the map once, by 33, as the released VOC model does; "basic" pads every convolution, as the
  others do. "large" at a depth of 7 or 10 has no model of theirs to follow.
- Dropout is of single values, as in Caffe.
"""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.context import ContextModule
from perpixel.layers.fixed_upsample import FixedUpsample
from perpixel.layers.init import kaiming_init
from perpixel.layers.pad import mirror_pad, round_up
from perpixel.layers.resize import resize
from perpixel.models.backbones.vgg import STAGES

Context = Literal["basic", "large"]
Upsample = Literal["resize", "transposed"]
MARGIN = 186
"""How far the image is mirrored on each side: half of what the unpadded convolutions lose."""
STRIDE = 8


class DilatedFrontend(nn.Module):
    """The front-end alone. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `upsample`, "resize" or "transposed"; `width`, the channels of the first convolutions, 64 in the paper, of
    which all others are multiples; `dropout`, the probability, behind fc6 and fc7.
    """

    backbone_names = ("scores.convs", "scores.fc6", "scores.fc7")

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        upsample: Upsample = "resize",
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_choice("dilated_frontend", "upsample", upsample, ("resize", "transposed"))
        self.scores = DilatedVGG(num_classes, in_channels, width, dropout)
        self.upsample = FixedUpsample(num_classes, STRIDE) if upsample == "transposed" else None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        scores = self.scores(mirror_border(image))  # B,K,ceil(H/8),ceil(W/8)
        return {"logits": upsampled(scores, image, self.upsample)}  # B,K,H,W


class Dilation(nn.Module):
    """Front-end and context module. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `context`, "basic" (K channels) or "large" (up to 32 K); `depth`, the context module's layers: 8 for VOC and
    CamVid, 7 for KITTI, 10 for Cityscapes; the others are the front-end's.
    """

    backbone_names = ("scores.convs", "scores.fc6", "scores.fc7")

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        context: Context = "basic",
        depth: int = 8,
        upsample: Upsample = "resize",
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_choice("dilation8", "context", context, ("basic", "large"))
        check_choice("dilation8", "depth", depth, (7, 8, 10))
        check_choice("dilation8", "upsample", upsample, ("resize", "transposed"))
        self.scores = DilatedVGG(num_classes, in_channels, width, dropout)
        self.context = ContextModule(num_classes, depth, context, padding="once" if context == "large" else "each")
        self.upsample = FixedUpsample(num_classes, STRIDE) if upsample == "transposed" else None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        scores = self.scores(mirror_border(image))  # B,K,ceil(H/8),ceil(W/8)
        return {"logits": upsampled(self.context(scores), image, self.upsample)}  # B,K,H,W


class DilatedVGG(nn.Module):
    """VGG-16 without pool4 and pool5, its fully connected layers as convolutions: 8h + 372 rows -> h rows of scores.

    Parts are named as in Caffe: `convs.conv1_1` to `convs.conv5_3`, `fc6`, `fc7`, `final`.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.convs = vgg_convs(in_channels, width)
        self.fc6 = nn.Conv2d(8 * width, 64 * width, 7, dilation=4)
        self.fc7 = nn.Conv2d(64 * width, 64 * width, 1)
        self.final = nn.Conv2d(64 * width, num_classes, 1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        kaiming_init(self)
        nn.init.normal_(self.final.weight, mean=0.0, std=0.001)

    def forward(self, image: Tensor) -> Tensor:
        """`(B, in_channels, 8h + 372, 8w + 372)` -> `(B, K, h, w)`."""
        x = self.convs(image)  # B,512,h+24,w+24
        x = self.dropout(self.relu(self.fc6(x)))  # B,4096,h,w
        x = self.dropout(self.relu(self.fc7(x)))  # B,4096,h,w
        return self.final(x)


def vgg_convs(in_channels: int, width: int) -> nn.Sequential:
    """The thirteen 3x3 convolutions, unpadded, three poolings among them, dilation 2 in the last three."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = in_channels
    for level, (count, multiple) in enumerate(STAGES, start=1):
        for i in range(1, count + 1):
            parts[f"conv{level}_{i}"] = nn.Conv2d(inputs, multiple * width, 3, dilation=2 if level == 5 else 1)
            parts[f"relu{level}_{i}"] = nn.ReLU(inplace=True)
            inputs = multiple * width
        if level <= 3:
            parts[f"pool{level}"] = nn.MaxPool2d(kernel_size=2, stride=2)
    return nn.Sequential(parts)


def mirror_border(image: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B, C, 8 ceil(H/8) + 372, 8 ceil(W/8) + 372)`, the image at (186, 186)."""
    height, width = (round_up(length, STRIDE) + 2 * MARGIN for length in image.shape[-2:])
    return mirror_pad(image, (MARGIN, MARGIN), (height, width))


def upsampled(scores: Tensor, image: Tensor, upsample: FixedUpsample | None) -> Tensor:
    """Scores `(B, K, h, w)` at eight times their size, cut to the image's; resized where `upsample` is None."""
    if upsample is None:
        logits = resize(scores, (STRIDE * scores.shape[-2], STRIDE * scores.shape[-1]), align_corners=False)
    else:
        logits = upsample(scores)
    return logits[..., : image.shape[-2], : image.shape[-1]]


def check_choice(network: str, option: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(f'{network}: {option} must be one of {", ".join(map(str, choices))}; got "{value}"')
