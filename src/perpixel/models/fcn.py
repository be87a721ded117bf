"""FCN: a classification network made convolutional, and its coarse scores refined by those of finer layers.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, arXiv:1411.4038, and
PAMI 2017, arXiv:1605.06211. Sizes below are the authors', for an image of 500 x 500:

    image 3,500 ─ 100 zeros on each side
      │ conv1, pool     64,349
      │ conv2, pool    128,175
      │ conv3, pool    256,88  ──────────────────────────── 1x1 ─ crop at 9 ─┐
      │ conv4, pool    512,44  ──────────── 1x1 ─ crop at 5 ─┐               │
      │ conv5, pool    512,22                                │               │
      │ fc6 7x7       4096,16                                │               │
      │ fc7 1x1       4096,16                                │               │
      │ score 1x1        K,16                                │               │
      ├──────────────────────────────── x2 ─ K,34 ───────── (+) ─ x2 ─ K,70 (+) ─ x8 ─ K,568 ─ crop at 31   FCN-8s
      ├──────────────────────────────── x2 ─ K,34 ───────── (+) ─ x16 ─ K,560 ─────────────── crop at 27   FCN-16s
      └─ x32 ─ K,544 ──────────────────────────────────────────────────────────────────────── crop at 19   FCN-32s

An upsampling x2 is a transposed convolution of stride 2 whose kernel of 4 x 4 is fixed to bilinear interpolation.

Differs from the paper:
- `padding="same"`, `width` and `learn_upsampling` are options; the defaults are those of the authors' released models.
  The paper learns the upsampling; the release fixes it, and its authors found no significant difference.
- VGG-16's weights are not loaded here, and fresh ones are Kaiming's. `fill_from_classifier` brings in fc6 and fc7.
- "At once" is trained in one go; the scale of its skips belongs to the network, not to its weights.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.layers.init import bilinear_init, kaiming_init
from perpixel.models.backbones.vgg import vgg16_stages

Padding = Literal["paper", "same"]
SKIP_OFFSETS = {"pool4": 5, "pool3": 9}
"""Where the doubled scores begin on the padded map of a pooling."""
FINAL_OFFSETS = {32: 19, 16: 27, 8: 31}
"""For each stride, where the image begins on the upsampled scores."""


class FCN(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    `stride` is 32, 16 or 8; `pool4_scale` and `pool3_scale` multiply what the skips see. Options: `padding`, "paper",
    100 zeros around the image, or "same", each convolution padded by itself, for less than half of the work on an
    image of VOC's size, and for other numbers; `width`, the channels of the first convolutions, 64 in the paper, of
    which all others are multiples; `dropout`, the probability, behind fc6 and fc7; `learn_upsampling`, whether the
    transposed convolutions take gradients.
    """

    backbone_names = ("stages", "fc6", "fc7")

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        stride: int,
        padding: Padding,
        width: int,
        dropout: float,
        learn_upsampling: bool,
        pool4_scale: float = 1.0,
        pool3_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if padding not in ("paper", "same"):
            raise UserError(f'fcn{stride}s: padding must be one of paper, same; got "{padding}"')
        same = padding == "same"
        self.stages = vgg16_stages(in_channels, width=width, first_padding=1 if same else 100)
        self.fc6 = nn.Conv2d(8 * width, 64 * width, 7, padding=3 if same else 0)
        self.fc7 = nn.Conv2d(64 * width, 64 * width, 1)
        self.score_fr = nn.Conv2d(64 * width, num_classes, 1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.skip4 = Skip(8 * width, num_classes, SKIP_OFFSETS["pool4"], pool4_scale, same) if stride <= 16 else None
        self.skip3 = Skip(4 * width, num_classes, SKIP_OFFSETS["pool3"], pool3_scale, same) if stride == 8 else None
        self.upscore = upsampling(num_classes, stride)
        self.offset = stride // 2 if same else FINAL_OFFSETS[stride]
        self.init_weights(learn_upsampling)

    def init_weights(self, learn_upsampling: bool) -> None:
        """Kaiming's for what a classifier may fill, zero for the scores, bilinear for the upsampling."""
        kaiming_init(self)
        for name, part in self.named_modules():
            if isinstance(part, nn.ConvTranspose2d):
                bilinear_init(part)
                part.weight.requires_grad_(learn_upsampling)
            elif "score" in name:
                nn.init.zeros_(part.weight)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        pools: list[Tensor] = []
        x = image
        for stage in self.stages:
            x = F.max_pool2d(stage(x), kernel_size=2, stride=2, ceil_mode=True)  # B,64,~H/2,~W/2 to B,512,~H/32,~W/32
            pools.append(x)
        scores = self.score_fr(self.classify(x))  # B,K,~H/32,~W/32
        return {"logits": self.decode(scores, pools[3], pools[2], size_of(image))}  # B,K,H,W

    def classify(self, pool5: Tensor) -> Tensor:
        """The classifier's fully connected layers at every place: `(B, 512, h, w)` -> `(B, 4096, h - 6, w - 6)`."""
        x = self.dropout(self.relu(self.fc6(pool5)))
        return self.dropout(self.relu(self.fc7(x)))

    def decode(self, scores: Tensor, pool4: Tensor, pool3: Tensor, size: Size) -> Tensor:
        """Coarse scores `(B, K, h, w)`, what the skips see, and the image's size -> `(B, K, *size)`."""
        if self.skip4 is not None:
            scores = self.skip4(scores, pool4)  # B,K,~H/16,~W/16
        if self.skip3 is not None:
            scores = self.skip3(scores, pool3)  # B,K,~H/8,~W/8
        return crop(self.upscore(scores), self.offset, size)


class Skip(nn.Module):
    """Doubles coarse scores and adds those of a finer pooling, which start at zero.

    The border of the image lies deeper on the finer map than on the doubled scores, so that is cropped. Padded "same",
    it is the doubled scores that reach too far: by 1 before the map, by 1 or 2 behind it.
    """

    def __init__(self, channels: int, num_classes: int, offset: int, scale: float, same: bool) -> None:
        super().__init__()
        self.upscore = upsampling(num_classes, 2)
        self.score = nn.Conv2d(channels, num_classes, 1)
        self.offset, self.scale, self.same = offset, scale, same

    def forward(self, scores: Tensor, pool: Tensor) -> Tensor:
        """`(B, K, h, w)` and `(B, C, ~2h, ~2w)` -> `(B, K, 2h + 2, 2w + 2)`, or, "same", the pooling's own size."""
        coarse = self.upscore(scores)
        fine = self.score(pool * self.scale)
        if self.same:
            return crop(coarse, 1, size_of(fine)) + fine
        return coarse + crop(fine, self.offset, size_of(coarse))


def fcn32s(
    num_classes: int,
    in_channels: int = 3,
    padding: Padding = "paper",
    width: int = 64,
    dropout: float = 0.5,
    learn_upsampling: bool = False,
) -> FCN:
    """FCN-32s: the coarse scores alone, upsampled by 32. `FCN` says what the options are."""
    return FCN(num_classes, in_channels, 32, padding, width, dropout, learn_upsampling)


def fcn16s(
    num_classes: int,
    in_channels: int = 3,
    padding: Padding = "paper",
    width: int = 64,
    dropout: float = 0.5,
    learn_upsampling: bool = False,
) -> FCN:
    """FCN-16s: one skip, from pool4. Trained from FCN-32s: `fill_from_coarser`."""
    return FCN(num_classes, in_channels, 16, padding, width, dropout, learn_upsampling)


def fcn8s(
    num_classes: int,
    in_channels: int = 3,
    padding: Padding = "paper",
    width: int = 64,
    dropout: float = 0.5,
    learn_upsampling: bool = False,
) -> FCN:
    """FCN-8s: skips from pool4 and pool3. Trained from FCN-16s: `fill_from_coarser`."""
    return FCN(num_classes, in_channels, 8, padding, width, dropout, learn_upsampling)


def fcn8s_at_once(
    num_classes: int,
    in_channels: int = 3,
    padding: Padding = "paper",
    width: int = 64,
    dropout: float = 0.5,
    learn_upsampling: bool = False,
) -> FCN:
    """FCN-8s for training in one go: what the skips see is scaled down, pool4 by 0.01 and pool3 by 0.0001."""
    return FCN(
        num_classes, in_channels, 8, padding, width, dropout, learn_upsampling, pool4_scale=0.01, pool3_scale=0.0001
    )


def fill_from_classifier(model: FCN, layers: Sequence[nn.Linear]) -> None:
    """Give fc6 and fc7 the weights of a classifier's first two fully connected layers.

    A linear layer over the flattened `(C, 7, 7)` map is a convolution with a 7x7 kernel: the same numbers in another
    shape. With them the network scores every place as the classifier, slid over the map, would. For torchvision's VGG-16
    `layers` are `[vgg.classifier[0], vgg.classifier[3]]`. Raises `UserError` for layers of another shape.
    """
    for name, conv, linear in zip(("fc6", "fc7"), (model.fc6, model.fc7), layers, strict=True):
        if linear.weight.numel() != conv.weight.numel() or len(linear.weight) != len(conv.weight):
            wanted = f"Linear({conv.weight[0].numel()}, {conv.out_channels})"
            raise UserError(f"{name} takes the weights of a {wanted}; got Linear{tuple(linear.weight.shape[::-1])}")
        with torch.no_grad():
            conv.weight.copy_(linear.weight.view_as(conv.weight))
            if conv.bias is not None:
                conv.bias.copy_(linear.bias)


def fill_from_coarser(model: FCN, coarser: FCN) -> None:
    """Start a finer network where a coarser one ended, as its authors train: new skips stay at zero.

    The last upsampling differs in size and is left as it is.
    """
    state = {key: value for key, value in coarser.state_dict().items() if key != "upscore.weight"}
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys
    if unexpected:
        raise UserError(f"the coarser network has what the finer one has not: {', '.join(unexpected)}")


def upsampling(num_classes: int, stride: int) -> nn.ConvTranspose2d:
    """Transposed convolution with the kernel that bilinear interpolation needs; it has a weight for every pair of
    classes, as in the authors' models, though only those of a class with itself are not zero."""
    return nn.ConvTranspose2d(num_classes, num_classes, 2 * stride, stride, bias=False)


def crop(x: Tensor, offset: int, size: Size) -> Tensor:
    """`size` of `(B, C, H, W)`, from row and column `offset` on."""
    return x[..., offset : offset + size[0], offset : offset + size[1]]


def size_of(x: Tensor) -> Size:
    """(H, W) of a map."""
    return x.shape[-2], x.shape[-1]
