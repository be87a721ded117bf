"""EncNet: what a scene is made of, summed up against learnt codewords, says which channels of every pixel count.

Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal, "Context Encoding for Semantic Segmentation", CVPR 2018,
arXiv:1803.08904.

    image B,C,H,W
      │
    dilated ResNet with a deep stem
      │ B,1024,H/8,W/8 ──── 3x3 256 ─ dropout ─ 1x1 ─ resize ─ aux B,K,H,W
    stage 4
      │ B,2048,H/8,W/8
     3x3 512                   (lateral: beside 1x1 512 of stages 2 and 3, then 3x3 512)
      ├──────────────────────────────┐
      │ B,512,H/8,W/8               1x1 ─ encoding ─ batch norm ─ ReLU ─ mean over codewords
      │                              │ B,512 ──────── linear ─ presence B,K
     ReLU(x + x * gamma) ── gamma ── linear, sigmoid
      │ B,512,H/8,W/8
    dropout ─ 1x1 ─ resize ─ logits B,K,H,W

It is the network of the authors' PyTorch code (github.com/zhanghang1989/PyTorch-Encoding).

Differs from the paper:
- x + x * gamma, the mean over codewords and the lateral connections are the authors' code's. The paper has x * gamma,
  and a sum.
- The first block of stage 3 has dilation 1, and that of stage 4 dilation 2, as in the authors' code.
- Presence comes as scores, for a loss that takes the sigmoid. It and `aux` are returned in train and in eval.
- Batch norms are not synchronised, and one value a channel is normalised by the running statistics. Weights are fresh,
  not ImageNet's, and Kaiming's. `width` is an option for quick tests.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.layers.conv import conv_norm_act
from perpixel.layers.fcn_head import fcn_head
from perpixel.layers.init import kaiming_init
from perpixel.layers.resize import resize
from perpixel.models.backbones.dilated_resnet import DilatedResNet

DILATIONS = ((1, 1), (1, 1), (1, 2), (2, 4))
"""Of the first block and the others, in each stage of the backbone."""


class EncNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`; with `aux=True` also `"aux"` of the same shape, and with `presence=True` also
    `"presence"`, `(B, K)`: the score, before the sigmoid, that the class has a pixel in the image. The authors weigh
    the losses of both by 0.2.

    Options: `depth`, 50, 101 or 152; `aux`, the auxiliary head on stage 3; `presence`; `lateral`, stages 2 and 3 beside
    stage 4, as the authors have it for PASCAL Context; `codewords`, their number; `dropout`, the probability, in both
    heads; `width`, the channels of the first convolution, 64 in the paper, of which all others are multiples. Raises
    `UserError` for another depth.
    """

    backbone_names = ("backbone",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        depth: int = 50,
        aux: bool = False,
        presence: bool = False,
        lateral: bool = False,
        codewords: int = 32,
        width: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        channels = 8 * width
        self.backbone = DilatedResNet(depth, in_channels, width, DILATIONS)
        _, stage2, stage3, stage4 = self.backbone.channels
        self.reduce = conv_norm_act(stage4, channels, 3)
        self.lateral = Lateral(stage2, stage3, channels) if lateral else None
        self.context = ContextEncoding(channels, codewords)
        self.score = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(channels, num_classes, 1))
        self.presence = nn.Linear(channels, num_classes) if presence else None
        self.auxiliary = fcn_head(stage3, 4 * width, num_classes, dropout) if aux else None
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        size = (image.shape[-2], image.shape[-1])
        _, stage2, stage3, stage4 = self.backbone(image)  # B,512 and B,1024 and B,2048,H/8,W/8
        x = self.reduce(stage4)
        if self.lateral is not None:
            x = self.lateral(x, stage2, stage3)
        x, summary = self.context(x)  # B,512,H/8,W/8 and B,512
        output = {"logits": resize(self.score(x), size, align_corners=True)}  # B,K,H,W
        if self.auxiliary is not None:
            output["aux"] = resize(self.auxiliary(stage3), size, align_corners=True)  # B,K,H,W
        if self.presence is not None:
            output["presence"] = self.presence(summary)  # B,K
        return output


class Lateral(nn.Module):
    """Finer stages, at the same stride, beside the last: three maps -> `(B, channels, h, w)`."""

    def __init__(self, stage2: int, stage3: int, channels: int) -> None:
        super().__init__()
        self.connect2 = conv_norm_act(stage2, channels, 1)
        self.connect3 = conv_norm_act(stage3, channels, 1)
        self.fuse = conv_norm_act(3 * channels, channels, 3)

    def forward(self, x: Tensor, stage2: Tensor, stage3: Tensor) -> Tensor:
        return self.fuse(torch.cat([x, self.connect2(stage2), self.connect3(stage3)], dim=1))


class ContextEncoding(nn.Module):
    """`(B, D, h, w)` -> the same shape, each channel weighed by the image's content, and that content, `(B, D)`."""

    def __init__(self, channels: int, codewords: int) -> None:
        super().__init__()
        self.project = conv_norm_act(channels, channels, 1)
        self.encoding = Encoding(channels, codewords)
        self.norm = nn.BatchNorm1d(codewords, eps=1e-5, momentum=0.1)
        self.weigh = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        residuals = F.relu(self.norm(self.encoding(self.project(x))))  # B,codewords,D
        summary = residuals.mean(dim=1)  # B,D
        gamma = torch.sigmoid(self.weigh(summary))[:, :, None, None]
        return F.relu(x + x * gamma), summary


class Encoding(nn.Module):
    """Features `(B, D, h, w)` -> for each codeword, the sum of what parts them from it: `(B, codewords, D)`.

    e_k = sum_i a_ik (x_i - c_k), where a_ik = softmax over k of s_k |x_i - c_k|^2: each feature is shared out among the
    codewords c, most to the nearest. Both c and s are learnt; s starts between -1 and 0.

    Source: section 3.1 of the paper, where the s have the other sign; the signs and initial weights are the code's.
    """

    def __init__(self, channels: int, codewords: int) -> None:
        super().__init__()
        limit = (channels * codewords) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, channels).uniform_(-limit, limit))
        self.scale = nn.Parameter(torch.empty(codewords).uniform_(-1, 0))

    def forward(self, x: Tensor) -> Tensor:
        features = x.flatten(2).transpose(1, 2)  # B,N,D
        # |x|^2 - 2xc + |c|^2, because the differences themselves would be N * codewords * D numbers an image
        squares = features.square().sum(dim=2, keepdim=True) + self.codewords.square().sum(dim=1)
        distances = squares - 2 * features @ self.codewords.T  # B,N,codewords
        shares = torch.softmax(self.scale * distances, dim=2)
        return shares.transpose(1, 2) @ features - shares.sum(dim=1)[:, :, None] * self.codewords
