"""DeconvNet: VGG-16, down to a single vector, and its mirror image back up by unpooling and deconvolution.

Noh, Hong, Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, arXiv:1505.04366. Sizes below are
the paper's, for a crop of 224 x 224:

    crop 3,224                                             logits K,224
      │ conv conv          64,224                            │ deconv deconv, 1x1      64, 64, K
     pool ──────────────── where the maxima stood ──────── unpool                      64,224
      │ conv conv         128,112                            │ deconv deconv           128, 64
     pool ─────────────────────────────────────────────── unpool                      128,112
      │ conv conv conv    256,56                             │ deconv deconv deconv    256, 256, 128
     pool ─────────────────────────────────────────────── unpool                      256,56
      │ conv conv conv    512,28                             │ deconv deconv deconv    512, 512, 256
     pool ─────────────────────────────────────────────── unpool                      512,28
      │ conv conv conv    512,14                             │ deconv deconv deconv    512, 512, 512
     pool ─────────────────────────────────────────────── unpool                      512,14
      │ 512,7                                                │ 512,7
      └─ fc6 7x7 ─── 4096,1 ─── fc7 1x1 ─── 4096,1 ─── deconv 7x7

Every convolution and deconvolution but the last has a bias, a batch norm and a ReLU.

Differs from the paper:
- The paper sees a crop around each object proposal, resized to 224 x 224, and joins the score maps of fifty. Here the
  image is taken whole: all layers slide over one larger than 224 x 224. Where the last pooling of a smaller one gives
  less than the 7 x 7 that fc6 needs, its last row and column are repeated; what they cause is cut behind fc6-deconv.
- Batch norms keep running averages for eval; the authors compute the statistics in a pass over the training set.
- The positions of maxima are kept in two bits each in eval (`packed_indices`). `width` is an option.
- VGG-16's weights are not loaded here, and fresh ones are Kaiming's. The decoder starts as the authors': deviation 0.01.
"""

from typing import cast

import torch
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.layers.init import kaiming_init
from perpixel.layers.pad import pad_end
from perpixel.layers.unpool import max_pool, max_unpool
from perpixel.models.backbones.vgg import shifted_norm, vgg16_stages

NORM_EPS = 1e-9
"""Of the batch norms, as in the authors' Caffe."""
FC6_SIDE = 7
"""What fc6 needs to see: the last pooling of the paper's 224 x 224."""
DECODER = ((8, 8, 8), (8, 8, 4), (4, 4, 2), (2, 1), (1, 1))
"""The channels of each stage's deconvolutions, coarsest first, in multiples of `width`."""


class DeconvNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `width`, the channels of the first convolutions, 64 in the paper, of which all others are multiples;
    `packed_indices`, whether eval keeps the maxima's positions in two bits each, not 64: the same numbers, less memory.
    """

    backbone_names = ("convolutions", "fc6", "fc7")

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 64, packed_indices: bool = True) -> None:
        super().__init__()
        self.packed_indices = packed_indices
        self.convolutions = vgg16_stages(in_channels, width=width, norm_eps=NORM_EPS)
        self.fc6 = norm_relu(nn.Conv2d(8 * width, 64 * width, 7))
        self.fc7 = norm_relu(nn.Conv2d(64 * width, 64 * width, 1))
        self.fc6_deconv = norm_relu(nn.ConvTranspose2d(64 * width, 8 * width, 7))
        channels = [8 * width] + [stage[-1] * width for stage in DECODER[:-1]]
        self.deconvolutions = nn.ModuleList(
            deconvs(inputs, [multiple * width for multiple in stage])
            for inputs, stage in zip(channels, DECODER, strict=True)
        )
        self.score = nn.Conv2d(width, num_classes, 1)
        self.init_weights()

    def init_weights(self) -> None:
        """Kaiming's for what VGG-16 may fill, the authors' for the rest; biases zero."""
        kaiming_init(self)
        for part in (*self.fc6_deconv.modules(), *self.deconvolutions.modules(), self.score):
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(part.weight, mean=0.0, std=0.01)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = image
        kept: list[tuple[Tensor, Size]] = []
        for stage in self.convolutions:
            x = stage(x)  # B,64,H,W to B,512,~H/16,~W/16
            size = (x.shape[-2], x.shape[-1])
            x, positions = max_pool(x, packed=self.packed_indices and not self.training)
            kept.append((positions, size))  # B,64,~H/2,~W/2 to B,512,~H/32,~W/32
        x = self.through_a_vector(x)  # B,512,~H/32,~W/32
        for stage in self.deconvolutions:
            x = stage(max_unpool(x, *kept.pop()))  # B,512,~H/16,~W/16 to B,64,H,W
        return {"logits": self.score(x)}  # B,K,H,W

    def through_a_vector(self, pool5: Tensor) -> Tensor:
        """`(B, 512, h, w)` -> the same shape: 4096 numbers for each 7x7 window, then 7x7 values from each of these."""
        height, width = pool5.shape[-2], pool5.shape[-1]
        x = pad_end(pool5, (at_least_a_window(height), at_least_a_window(width)))
        x = self.fc7(self.fc6(x))  # B,4096,h-6,w-6
        return self.fc6_deconv(x)[..., :height, :width]


def at_least_a_window(length: int) -> int:
    """`length`, or 7 where that is more. A plain `max` would be decided once and for all in an export."""
    return cast(int, torch.sym_max(length, FC6_SIDE))


def deconvs(in_channels: int, channels: list[int]) -> nn.Sequential:
    """3x3 deconvolutions of the given channels: `(B, in_channels, h, w)` -> `(B, channels[-1], h, w)`."""
    inputs = [in_channels, *channels[:-1]]
    return nn.Sequential(
        *(norm_relu(nn.ConvTranspose2d(i, o, 3, padding=1)) for i, o in zip(inputs, channels, strict=True))
    )


def norm_relu(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """The convolution, a batch norm, ReLU."""
    return nn.Sequential(conv, shifted_norm(conv.out_channels, NORM_EPS), nn.ReLU(inplace=True))
