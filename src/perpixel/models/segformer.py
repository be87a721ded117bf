"""SegFormer: a transformer whose stages shrink like those of a ResNet, and a head of linear layers.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo, "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers", NeurIPS 2021, arXiv:2105.15203. Channels are those of B0; B1 to B5 have twice as many, and 768 for 256:

    image B,C,H,W
      │
    7x7 stride 4 ─ blocks ─ B,32,H/4,W/4 ───── linear ─ B,256 ────────────┐
                              │                                           │
    3x3 stride 2 ─ blocks ─ B,64,H/8,W/8 ───── linear ─ B,256 ─ resize ───┤
                              │                                           │
    3x3 stride 2 ─ blocks ─ B,160,H/16,W/16 ── linear ─ B,256 ─ resize ───┤
                              │                                           │
    3x3 stride 2 ─ blocks ─ B,256,H/32,W/32 ── linear ─ B,256 ─ resize ─ concat B,1024,H/4,W/4
                                                                          │
              logits B,K,H,W ─ resize ─ B,K,H/4,W/4 ─ 1x1 ─ dropout ─ 1x1, BN, ReLU

What the paper leaves open is that of the authors' code (github.com/NVlabs/SegFormer): the batch norm behind the fusing
layer, dropout of whole channels, coarsest map first in the concatenation.

Differs from the paper:
- Weights are fresh, by the authors' initialisation, not ImageNet's.
- Any size: an image with fewer than 29 rows or columns, of which stage 1 would leave nothing to attend to, is padded to
  29 by repeating its last row and column, and the logits are cut.
- The authors' head has a second scoring layer that nothing uses; here there is one.
- Batch norms are not synchronised.
"""

import torch
from torch import Tensor, nn

from perpixel.layers.conv import conv_norm_act
from perpixel.layers.pad import pad_end
from perpixel.layers.resize import resize
from perpixel.models.backbones.mit import SMALLEST, MixTransformer, authors_init, channels_first, channels_last

HEAD_CHANNELS = {"b0": 256, "b1": 256, "b2": 768, "b3": 768, "b4": 768, "b5": 768}
"""Variant -> the channels that the head brings every stage to."""


class SegFormer(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `variant`, "b0" (3.8 million parameters) to "b5" (84.7 million); `drop_path`, the probability with which the
    last block leaves out a branch in training; `dropout`, the probability, in the head; `norm_eps`, the epsilon of the
    encoder's norms, 1e-6 for the authors and 1e-5 in Hugging Face's port. Raises `UserError` for another variant.
    """

    backbone_names = ("encoder",)

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        variant: str = "b0",
        drop_path: float = 0.1,
        dropout: float = 0.1,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.encoder = MixTransformer(variant, in_channels, drop_path, norm_eps)
        self.head = AllMLPHead(self.encoder.channels, HEAD_CHANNELS[variant], num_classes, dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        if height < SMALLEST or width < SMALLEST:  # asked first, so that sizes stay simple in an export
            image = pad_end(image, (max(height, SMALLEST), max(width, SMALLEST)))
        scores = self.head(self.encoder(image))  # B,K,H/4,W/4
        logits = resize(scores, (image.shape[-2], image.shape[-1]), align_corners=False)
        return {"logits": logits[..., :height, :width]}  # B,K,H,W


class AllMLPHead(nn.Module):
    """Four stages, finest first -> scores `(B, K, h, w)` at the size of the finest.

    A linear layer at every place is a 1x1 convolution; the paper calls the whole an all-MLP decoder.
    """

    def __init__(self, in_channels: tuple[int, ...], channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.unify = nn.ModuleList(nn.Linear(inputs, channels) for inputs in in_channels)
        self.fuse = conv_norm_act(len(in_channels) * channels, channels, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        authors_init(self.fuse)  # linear layers and scores keep PyTorch's own

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = (maps[0].shape[-2], maps[0].shape[-1])
        unified = [channels_first(linear(channels_last(x))) for linear, x in zip(self.unify, maps, strict=True)]
        resized = [unified[0], *(resize(x, size, align_corners=False) for x in unified[1:])]
        return self.classify(self.dropout(self.fuse(torch.cat(resized[::-1], dim=1))))
