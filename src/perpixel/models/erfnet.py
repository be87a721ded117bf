"""ERFNet: residual blocks whose 3x3 convolutions are split into a column and a row, between ENet's samplings.

Romera, Álvarez, Bergasa, Arroyo, "ERFNet: Efficient Residual Factorized ConvNet for Real-Time Semantic Segmentation",
IEEE Transactions on Intelligent Transportation Systems 2018 (no arXiv: preprint was found).

    image B,C,H,W                                      logits B,K,H,W
      │ down                                             │ transposed 2x2
      │ B,16,H/2,W/2                                    2 x Non-bottleneck-1D
      │ down                                             │ up  B,16,H/2,W/2
    5 x Non-bottleneck-1D                               2 x Non-bottleneck-1D
      │ B,64,H/4,W/4                                     │ up  B,64,H/4,W/4
      │ down                                             │
    2 x (Non-bottleneck-1D dilated 2, 4, 8, 16) ─────────┘
      │ B,128,H/8,W/8
     1x1 ─ resize ─ aux B,K,H,W

It is the network of the authors' PyTorch code (github.com/Eromera/erfnet_pytorch).

Differs from the paper:
- The column comes before the row in each pair, and the downsamplings have no dropout, as in the authors' PyTorch code.
  Their Torch code has the row first, and dropout in the downsamplings.
- Any size: an image is padded to multiples of 8 by repeating its last row and column, and the logits are cut.
- The encoder's own scores, which the first stage of training compares with labels of an eighth of the size, are resized
  to the image's size (`encoder_only=True`, or `aux=True` beside the decoder's).
- Images of other than 3 channels, which the first downsampling then convolves to what is missing to 16.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.norm import BatchNorm2d
from perpixel.layers.pad import pad_end, round_up
from perpixel.layers.resize import resize


class ERFNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}` and, with `aux=True`, `"aux"` of the same shape, in train and in eval.

    Options: `aux`, the encoder's own scores beside the decoder's; `encoder_only`, these alone, as logits, and no
    decoder: the first stage of the paper's training, whose weights have the same names in the whole network;
    `dropout`, the probabilities of whole channels at strides 4 and 8. Raises `UserError` for `aux` with `encoder_only`.
    """

    backbone_names = ("encoder",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        aux: bool = False,
        encoder_only: bool = False,
        dropout: tuple[float, float] = (0.03, 0.3),
    ) -> None:
        super().__init__()
        if aux and encoder_only:
            raise UserError("aux=True goes with a decoder; encoder_only=True has none. Choose one of them.")
        self.encoder = encoder(in_channels, *dropout)
        self.decoder = None if encoder_only else decoder(num_classes)
        self.encoder_score = nn.Conv2d(128, num_classes, 1) if aux or encoder_only else None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        image = pad_end(image, (round_up(height, 8), round_up(width, 8)))
        x = self.encoder(image)  # B,128,H/8,W/8
        outputs: list[Tensor] = []
        if self.decoder is not None:
            outputs.append(self.decoder(x))  # B,K,H,W
        if self.encoder_score is not None:
            scores = self.encoder_score(x)  # B,K,H/8,W/8
            outputs.append(resize(scores, (image.shape[-2], image.shape[-1]), align_corners=False))
        return {key: scores[..., :height, :width] for key, scores in zip(("logits", "aux"), outputs, strict=False)}


def encoder(in_channels: int, dropout1: float, dropout2: float) -> nn.Sequential:
    """`(B, C, H, W)` -> `(B, 128, H/8, W/8)`."""
    return nn.Sequential(
        Downsampler(in_channels, 16),  # B,16,H/2,W/2
        Downsampler(16, 64),
        *(NonBottleneck1D(64, dropout1) for _ in range(5)),  # B,64,H/4,W/4
        Downsampler(64, 128),
        *(NonBottleneck1D(128, dropout2, dilation) for dilation in (2, 4, 8, 16) * 2),  # B,128,H/8,W/8
    )


def decoder(num_classes: int) -> nn.Sequential:
    """`(B, 128, H/8, W/8)` -> `(B, K, H, W)`."""
    return nn.Sequential(
        upsampler(128, 64),
        *(NonBottleneck1D(64) for _ in range(2)),  # B,64,H/4,W/4
        upsampler(64, 16),
        *(NonBottleneck1D(16) for _ in range(2)),  # B,16,H/2,W/2
        nn.ConvTranspose2d(16, num_classes, 2, stride=2, padding=0),  # B,K,H,W
    )


class Downsampler(nn.Module):
    """A strided convolution beside the pooled input: `(B, in, h, w)` -> `(B, out, h/2, w/2)`; h and w are even.

    The convolution gives out what is missing to `out_channels`. An input of more than half of these is not pooled, and
    the convolution gives out all of them.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pooled = in_channels if 2 * in_channels <= out_channels else 0
        self.conv = nn.Conv2d(in_channels, out_channels - self.pooled, 3, stride=2, padding=1)
        self.norm = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        down = self.conv(x)
        if self.pooled:
            down = torch.cat([down, F.max_pool2d(x, kernel_size=2, stride=2)], dim=1)
        return F.relu(self.norm(down))


class NonBottleneck1D(nn.Module):
    """`(B, C, h, w)` -> the same shape: two 3x3 convolutions, each as 3x1 and 1x3, added to their input.

    The second pair is dilated, and the first is not.
    """

    def __init__(self, channels: int, dropout: float = 0.0, dilation: int = 1) -> None:
        super().__init__()
        self.pair1 = factorized(channels, dilation=1)
        self.norm1 = norm(channels)
        self.pair2 = factorized(channels, dilation)
        self.norm2 = norm(channels)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.pair1(x)))
        out = self.norm2(self.pair2(out))
        return F.relu(self.dropout(out) + x)


def factorized(channels: int, dilation: int) -> nn.Sequential:
    """A 3x3 convolution as a column, ReLU and a row: `(B, C, h, w)` -> the same shape."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation)),
    )


def upsampler(in_channels: int, out_channels: int) -> nn.Sequential:
    """`(B, in, h, w)` -> `(B, out, 2h, 2w)`."""
    conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(conv, norm(out_channels), nn.ReLU(inplace=True))


def norm(channels: int) -> BatchNorm2d:
    """Batch norm with the authors' epsilon."""
    return BatchNorm2d(channels, eps=1e-3, momentum=0.1)
