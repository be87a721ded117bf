"""ENet: small maps early, bottlenecks of a quarter of the channels, and a decoder that only places what was found.

Paszke, Chaurasia, Kim, Culurciello, "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation",
2016, arXiv:1606.02147.

    image B,C,H,W
      │
    initial: 3x3 stride 2 beside max pool                       logits B,K,H,W
      │ B,16,H/2,W/2                                              │ transposed 2x2
    stage 1: down, 4 bottlenecks ── where the maxima stood ──── stage 5: up, 1 bottleneck    B,16,H/2,W/2
      │ B,64,H/4,W/4                                              │
    stage 2: down, 8 bottlenecks ── where the maxima stood ──── stage 4: up, 2 bottlenecks   B,64,H/4,W/4
      │ B,128,H/8,W/8                                             │
    stage 3: 8 bottlenecks ───────────────────────────────────────┘
      │ B,128,H/8,W/8
     1x1 ─ resize ─ aux B,K,H,W

The wiring is that of the authors' code (github.com/e-lab/ENet-training), which settles what the paper leaves open: a
bottleneck's inner channels are a quarter of what it gives out, also where it downsamples; nothing stands between the
1x5 and the 5x1 convolution, nor behind the last batch norm of a branch; the decoder has ReLUs and no dropout.

Differs from the paper:
- Any size: an image is padded to multiples of 8 by repeating its last row and column, and the logits are cut.
- The encoder's own scores, which the first stage of the paper's training compares with labels of an eighth of the size,
  are resized to the image's size (`encoder_only=True`, or `aux=True` beside the decoder's).
- Convolutions in front of a batch norm keep the biases that some have in the authors' code: they learn nothing.
- Dropout scales up what it keeps in training; the authors' Torch scales down in eval. The expectation is the same.
- The positions of maxima are kept in two bits each in eval.
- Images of other than 3 channels, of which the initial block then convolves to what is missing to 16.
- Initial weights are PyTorch's own, Torch's but for transposed convolutions. (Kaiming's, larger, learnt more slowly.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.core.errors import UserError, nearest
from perpixel.layers.pad import pad_end, round_up
from perpixel.layers.resize import resize
from perpixel.layers.unpool import max_pool, max_unpool
from perpixel.models.enet_wiring import (
    AUTHORS,
    WIRINGS,
    Act,
    Middle,
    Wiring,
    branch,
    middle_convs,
    relu,
    upsampling,
)

Kept = tuple[Tensor, Size]
"""Where the maxima stood, and the size that was pooled."""

SECTION: tuple[Middle, ...] = (1, 2, "asymmetric", 4, 1, 8, "asymmetric", 16)
"""The bottlenecks of stage 2 behind its downsampling, and of stage 3."""


class ENet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}` and, with `aux=True`, `"aux"` of the same shape, in train and in eval.

    Options: `aux`, the encoder's own scores beside the decoder's; `encoder_only`, these alone, as logits, and no
    decoder: the first stage of the paper's training, whose weights have the same names in the whole network;
    `dropout`, the probabilities of whole channels in stage 1 and in stages 2 and 3; `wiring`, whose code the layers
    follow, a name in `WIRINGS`: "davidtvs" is there because weights are (github.com/davidtvs/PyTorch-ENet), and only its
    layers answer to them as it does. Raises `UserError` for `aux` with `encoder_only`, and for an unknown wiring.
    """

    backbone_names = ("encoder",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        aux: bool = False,
        encoder_only: bool = False,
        dropout: tuple[float, float] = (0.01, 0.1),
        wiring: str = "authors",
    ) -> None:
        super().__init__()
        if aux and encoder_only:
            raise UserError("aux=True goes with a decoder; encoder_only=True has none. Choose one of them.")
        if wiring not in WIRINGS:
            raise UserError(f'ENet has no wiring "{wiring}"; it has {", ".join(WIRINGS)}.{nearest(wiring, WIRINGS)}')
        self.encoder = Encoder(in_channels, *dropout, WIRINGS[wiring])
        self.decoder = None if encoder_only else Decoder(num_classes, WIRINGS[wiring])
        self.encoder_score = nn.Conv2d(128, num_classes, 1) if aux or encoder_only else None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        image = pad_end(image, (round_up(height, 8), round_up(width, 8)))
        x, kept = self.encoder(image)  # B,128,H/8,W/8
        outputs: list[Tensor] = []
        if self.decoder is not None:
            outputs.append(self.decoder(x, kept))  # B,K,H,W
        if self.encoder_score is not None:
            scores = self.encoder_score(x)  # B,K,H/8,W/8
            outputs.append(resize(scores, (image.shape[-2], image.shape[-1]), align_corners=False))
        return {key: scores[..., :height, :width] for key, scores in zip(("logits", "aux"), outputs, strict=False)}


class Encoder(nn.Module):
    """`(B, C, H, W)` -> `(B, 128, H/8, W/8)` and where the maxima of its two downsamplings stood, finest first."""

    def __init__(self, in_channels: int, dropout1: float, dropout2: float, wiring: Wiring = AUTHORS) -> None:
        super().__init__()
        self.initial = InitialBlock(in_channels, wiring)
        self.down1 = DownsamplingBottleneck(16, 64, dropout1, wiring)
        self.stage1 = nn.Sequential(*(Bottleneck(64, 1, dropout1, wiring.prelu, wiring) for _ in range(4)))
        self.down2 = DownsamplingBottleneck(64, 128, dropout2, wiring)
        self.stage2 = nn.Sequential(*(Bottleneck(128, middle, dropout2, wiring.prelu, wiring) for middle in SECTION))
        self.stage3 = nn.Sequential(*(Bottleneck(128, middle, dropout2, wiring.prelu, wiring) for middle in SECTION))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Kept]]:
        x = self.initial(image)  # B,16,H/2,W/2
        x, kept1 = self.down1(x)
        x = self.stage1(x)  # B,64,H/4,W/4
        x, kept2 = self.down2(x)
        x = self.stage2(x)  # B,128,H/8,W/8
        return self.stage3(x), [kept1, kept2]  # B,128,H/8,W/8


class Decoder(nn.Module):
    """`(B, 128, H/8, W/8)` and what the downsamplings kept -> `(B, K, H, W)`."""

    def __init__(self, num_classes: int, wiring: Wiring = AUTHORS) -> None:
        super().__init__()
        dropout = wiring.decoder_dropout
        self.up4 = UpsamplingBottleneck(128, 64, wiring)
        self.stage4 = nn.Sequential(*(Bottleneck(64, 1, dropout, relu, wiring) for _ in range(2)))
        self.up5 = UpsamplingBottleneck(64, 16, wiring)
        self.stage5 = nn.Sequential(Bottleneck(16, 1, dropout, relu, wiring))
        self.score = upsampling(16, num_classes, wiring.score_kernel, wiring.bias)

    def forward(self, x: Tensor, kept: list[Kept]) -> Tensor:
        x = self.stage4(self.up4(x, kept[1]))  # B,64,H/4,W/4
        x = self.stage5(self.up5(x, kept[0]))  # B,16,H/2,W/2
        return self.score(x)  # B,K,H,W


class InitialBlock(nn.Module):
    """A strided convolution beside the pooled image, 13 and 3 channels: `(B, C, H, W)` -> `(B, 16, H/2, W/2)`.

    The convolution gives out what is missing to 16; above 8 image channels nothing is pooled, and it gives out all 16.
    """

    def __init__(self, in_channels: int, wiring: Wiring = AUTHORS) -> None:
        super().__init__()
        self.pooled = in_channels if in_channels <= 8 else 0
        self.pool = wiring.pool
        self.conv = nn.Conv2d(in_channels, 16 - self.pooled, 3, stride=2, padding=1, bias=wiring.bias)
        self.norm = wiring.norm(16)
        self.act = wiring.prelu(16)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv(image)
        if self.pooled:
            pooled = F.max_pool2d(image, kernel_size=self.pool, stride=2, padding=self.pool - 2)
            x = torch.cat([x, pooled], dim=1)
        return self.act(self.norm(x))


class Bottleneck(nn.Module):
    """`(B, C, h, w)` -> the same shape: a branch of C/4 inner channels, added to its input."""

    def __init__(self, channels: int, middle: Middle, dropout: float, act: Act, wiring: Wiring = AUTHORS) -> None:
        super().__init__()
        inner = channels // 4
        reduce = nn.Conv2d(channels, inner, 1, bias=False)
        convs = middle_convs(middle, inner, act, wiring)
        self.branch = branch(reduce, convs, channels, act, wiring, act_behind=wiring.act_expanded)
        self.dropout = nn.Dropout2d(dropout)
        self.act = act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.dropout(self.branch(x)) + x)


class DownsamplingBottleneck(nn.Module):
    """`(B, in, h, w)` -> `(B, out, h/2, w/2)` and where the maxima of its input stood; h and w are even.

    The branch begins with a 2x2 convolution of stride 2; what it is added to is the pooled input, with channels of
    zeros behind the last.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float, wiring: Wiring = AUTHORS) -> None:
        super().__init__()
        inner = wiring.inner(in_channels, out_channels)
        reduce = nn.Conv2d(in_channels, inner, 2, stride=2, padding=0, bias=False)
        convs = middle_convs(1, inner, wiring.prelu, wiring)
        self.branch = branch(reduce, convs, out_channels, wiring.prelu, wiring, act_behind=wiring.act_expanded)
        self.dropout = nn.Dropout2d(dropout)
        self.act = wiring.prelu(out_channels)
        self.missing = out_channels - in_channels

    def forward(self, x: Tensor) -> tuple[Tensor, Kept]:
        pooled, positions = max_pool(x, packed=not self.training)
        shortcut = F.pad(pooled, (0, 0, 0, 0, 0, self.missing))  # B,out,h/2,w/2
        return self.act(self.dropout(self.branch(x)) + shortcut), (positions, (x.shape[-2], x.shape[-1]))


class UpsamplingBottleneck(nn.Module):
    """`(B, in, h, w)` and what a downsampling kept -> `(B, out, 2h, 2w)`.

    The shortcut brings each value to the place of the maximum, for which its channels must be those that were pooled.
    """

    def __init__(self, in_channels: int, out_channels: int, wiring: Wiring = AUTHORS) -> None:
        super().__init__()
        inner = wiring.inner(in_channels, out_channels)
        reduce = nn.Conv2d(in_channels, inner, 1, bias=False)
        upsample = upsampling(inner, inner, wiring.up_kernel, wiring.bias)
        self.branch = branch(reduce, [upsample], out_channels, relu, wiring, act_behind=wiring.act_upsampled)
        self.dropout = nn.Dropout2d(wiring.decoder_dropout)
        shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.shortcut = nn.Sequential(shortcut, wiring.norm(out_channels))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        return self.act(self.dropout(self.branch(x)) + max_unpool(self.shortcut(x), *kept))
