"""SegNet: the decoder puts values back where the encoder's poolings found their maxima, and densifies.

Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
PAMI 2017, arXiv:1511.00561; Kendall et al., "Bayesian SegNet", BMVC 2017, arXiv:1511.02680 (dropout). Sizes below are
the authors', for CamVid's images:

    image 3,360x480                                       logits K,360x480
      │ conv conv          64,360x480                       │ conv conv                   64, K
     pool ──────────────── where the maxima stood ──────── unpool                         64,360x480
      │ conv conv         128,180x240                       │ conv conv                  128, 64
     pool ──────────────────────────────────────────────── unpool                        128,180x240
      │ conv conv conv    256,90x120                        │ conv conv conv dropout     256, 256, 128
     pool, dropout ─────────────────────────────────────── unpool                        256,90x120
      │ conv conv conv    512,45x60                         │ conv conv conv dropout     512, 512, 256
     pool, dropout ─────────────────────────────────────── unpool                        512,45x60
      │ conv conv conv    512,23x30                         │ conv conv conv dropout     512, 512, 512
     pool, dropout ─────────────────────────────────────── unpool                        512,23x30
      └─────────────────── 512,12x15 ───────────────────────┘

SegNet-Basic has four poolings and one 7x7 convolution of 64 channels at each, in the encoder with ReLU, in the decoder
without. Every convolution but the last has a batch norm behind it. Dropout is for the Bayesian networks alone.

Differs from the paper:
- Batch norms keep running averages for eval; the authors compute the statistics in a pass over the training set.
- The positions of maxima are kept in two bits each in eval, which the paper proposes and the release does not do.
- `width`, the channels of the first convolutions, is an option. `dropout` as well: with 0.5, SegNet is Bayesian SegNet.
- VGG-16's weights are not loaded here; fresh ones are Kaiming's, as the authors' are where there is no VGG-16.
- SegNet-Basic's local response normalisation hardly acts on normalised images: the authors feed 0 to 255.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.layers.init import kaiming_init
from perpixel.layers.unpool import max_pool, max_unpool
from perpixel.models.backbones.vgg import shifted_norm, vgg16_stages

NORM_EPS = 1e-9
"""Of the batch norms, as in the authors' Caffe."""
DECODER = ((8, 8, 8), (8, 8, 4), (4, 4, 2), (2, 1), (1,))
"""The channels of each decoder's convolutions, coarsest first, in multiples of `width`; the last is the classifier's."""


class SegNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `width`, the channels of the first convolutions, 64 in the paper, of which all others are multiples;
    `packed_indices`, whether eval keeps the maxima's positions in two bits each, not 64: the same numbers, less memory;
    `dropout`, the probability, behind the inner three poolings and decoders.
    """

    backbone_names = ("encoder",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 64,
        packed_indices: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.packed_indices = packed_indices
        self.encoder = vgg16_stages(in_channels, width=width, norm_eps=NORM_EPS)
        channels = [8 * width] + [stage[-1] * width for stage in DECODER[:-1]]
        self.decoder = nn.ModuleList(
            nn.Sequential(*conv_norms(inputs, [multiple * width for multiple in stage], 3, relu=True))
            for inputs, stage in zip(channels, DECODER, strict=True)
        )
        self.score = nn.Conv2d(width, num_classes, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = image
        kept: list[tuple[Tensor, Size]] = []
        for level, stage in enumerate(self.encoder, start=1):
            x = stage(x)  # B,64,H,W to B,512,~H/16,~W/16
            size = (x.shape[-2], x.shape[-1])
            x, positions = max_pool(x, packed=self.packed_indices and not self.training)
            kept.append((positions, size))
            x = self.dropout(x) if level >= 3 else x  # B,64,~H/2,~W/2 to B,512,~H/32,~W/32
        for level, stage in zip((5, 4, 3, 2, 1), self.decoder, strict=True):
            x = stage(max_unpool(x, *kept.pop()))  # B,512,~H/16,~W/16 to B,64,H,W
            x = self.dropout(x) if level >= 3 else x
        return {"logits": self.score(x)}  # B,K,H,W


class SegNetBasic(nn.Module):
    """The small network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`. Options as `SegNet`; `width` is the channels of every convolution, and
    `dropout` stands behind the inner two poolings and decoders.
    """

    backbone_names: tuple[str, ...] = ()

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 64,
        packed_indices: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.packed_indices = packed_indices
        inputs = [in_channels, width, width, width]
        self.encoder = nn.ModuleList(nn.Sequential(*conv_norms(i, [width], 7, relu=True)) for i in inputs)
        self.decoder = nn.ModuleList(nn.Sequential(*conv_norms(width, [width], 7, relu=False)) for _ in inputs)
        self.score = nn.Conv2d(width, num_classes, 1)
        self.dropout = nn.Dropout(dropout)
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = F.local_response_norm(image, size=5, alpha=1e-4, beta=0.75, k=1.0)
        kept: list[tuple[Tensor, Size]] = []
        for level, stage in enumerate(self.encoder, start=1):
            x = stage(x)  # B,64,H,W to B,64,~H/8,~W/8
            size = (x.shape[-2], x.shape[-1])
            x, positions = max_pool(x, packed=self.packed_indices and not self.training)
            kept.append((positions, size))
            x = self.dropout(x) if level >= 3 else x  # B,64,~H/2,~W/2 to B,64,~H/16,~W/16
        for level, stage in zip((4, 3, 2, 1), self.decoder, strict=True):
            x = stage(max_unpool(x, *kept.pop()))  # B,64,~H/8,~W/8 to B,64,H,W
            x = self.dropout(x) if level >= 3 else x
        return {"logits": self.score(x)}  # B,K,H,W


def bayesian_segnet(
    num_classes: int, in_channels: int = 3, width: int = 64, packed_indices: bool = True, dropout: float = 0.5
) -> SegNet:
    """SegNet with dropout, which can be sampled in prediction too: Monte-Carlo dropout."""
    return SegNet(num_classes, in_channels, width, packed_indices, dropout)


def bayesian_segnet_basic(
    num_classes: int, in_channels: int = 3, width: int = 64, packed_indices: bool = True, dropout: float = 0.5
) -> SegNetBasic:
    """SegNet-Basic with dropout, which can be sampled in prediction too: Monte-Carlo dropout."""
    return SegNetBasic(num_classes, in_channels, width, packed_indices, dropout)


def conv_norms(in_channels: int, channels: list[int], kernel_size: int, *, relu: bool) -> list[nn.Module]:
    """Convolutions of the given channels, each with a bias, a batch norm and, if asked for, a ReLU."""
    parts: list[nn.Module] = []
    for inputs, outputs in zip([in_channels, *channels], channels, strict=False):
        parts += [nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2), shifted_norm(outputs, NORM_EPS)]
        if relu:
            parts.append(nn.ReLU(inplace=True))
    return parts
