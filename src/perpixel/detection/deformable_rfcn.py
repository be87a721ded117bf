"""Deformable R-FCN: R-FCN whose last convolutions, and whose parts of a region, choose where they look.

Dai, Qi, Xiong, Li, Zhang, Hu, Wei, "Deformable Convolutional Networks", ICCV 2017, arXiv:1703.06211. Sizes, and what
the paper leaves open, are those of the authors' code (github.com/msracver/Deformable-ConvNets, rfcn/symbols).

    image B,C,H,W
      │
    encoder, stages 1 to 4
      │ B,1024,H/16,W/16 ── region proposal network ── proposals R,5
    stage 5, stride 1: the three 3x3 convolutions deformable, with 4 groups of offsets
      │ B,2048,H/16,W/16
     1x1 1024 ─ ReLU
      ├─ 1x1 ─ 2k²(K+1) ── position-sensitive RoI pooling ──── offsets R,2(K+1),k,k ─┐
      ├─ 1x1 ─ k²(K+1) ─── deformable position-sensitive RoI pooling ────────────────┴─ mean ── class logits R,K+1
      ├─ 1x1 ─ 2k² ─────── position-sensitive RoI pooling ──── offsets R,2,k,k ──────┐
      └─ 1x1 ─ 8k² ─────── deformable position-sensitive RoI pooling ────────────────┴─ mean ── deltas R,1,4

All pooling is by 4 x 4 points in each part. Offsets start at zero, so that the network starts as R-FCN with such
pooling.

Differs from the paper:
- What rfcn.py says of the encoder, the proposals, the padding and the options. `deformable` are the last 3x3
  convolutions of the encoder, whatever it is; in a ResNet of basic blocks one block has two of them.
- The offsets of a convolution come from one of its own dilation, which in timm's first block of stage 5 is 1.
- The operator is torchvision's (see models/deformable_deeplab.py).
- The authors' triple learning rate of the 1x1 to 1024 is the trainer's business.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.detection.operators import cell_anchors, deformable_ps_roi_pool
from perpixel.detection.rfcn import dilated_encoder
from perpixel.detection.rpn import RegionProposals, normal_init
from perpixel.layers.deformable import DeformableConv2d, make_deformable


class DeformableRFCN(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns the keys that `perpixel.detection` lists; all classes share their `box_deltas`, `(R, 1, 4)`. Its
    `features` are R-FCN's two, then the maps from which come the offsets of scores `(B, k * k * 2 * (K + 1), h, w)` and
    of boxes `(B, k * k * 2, h, w)`.

    Options: those of `RFCN`, and `deformable`, how many of the last 3x3 convolutions are. Raises `UserError` also where
    the encoder has fewer.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "resnet101",
        pretrained: bool | str = False,
        frozen_norms: bool = False,
        stride: int = 16,
        channels: int = 1024,
        group: int = 7,
        anchor_sizes: Sequence[float] = (128, 256, 512),
        anchor_ratios: Sequence[float] = (0.5, 1, 2),
        proposals: int = 300,
        deformable: int = 3,
    ) -> None:
        super().__init__()
        self.stride, self.group = stride, group
        self.encoder = dilated_encoder(encoder, in_channels, pretrained, frozen_norms, stride)
        deform_last(self.encoder, encoder, deformable)
        conv4, conv5 = self.encoder.channels
        cells = cell_anchors(anchor_sizes, anchor_ratios)[None]
        self.rpn = RegionProposals(conv4, 512, cells, before=6000, after=proposals)
        self.reduce = nn.Conv2d(conv5, channels, 1)
        self.score_maps = nn.Conv2d(channels, group**2 * (num_classes + 1), 1)
        self.box_maps = nn.Conv2d(channels, group**2 * 8, 1)
        self.score_offsets = nn.Conv2d(channels, group**2 * 2 * (num_classes + 1), 1)
        self.box_offsets = nn.Conv2d(channels, group**2 * 2, 1)
        for conv in (self.reduce, self.score_maps, self.box_maps):
            normal_init(conv, 0.01)
        for conv in (self.score_offsets, self.box_offsets):
            normal_init(conv, 0.0)

    def propose(self, image: Tensor) -> dict[str, Any]:
        """All that does not depend on regions, and the proposals."""
        conv4, conv5 = self.encoder(self.encoder.extend(image))  # B,1024,H/16,W/16 and B,2048,H/16,W/16
        reduced = F.relu(self.reduce(conv5))  # B,1024,H/16,W/16
        maps = (self.score_maps, self.box_maps, self.score_offsets, self.box_offsets)
        size = (image.shape[-2], image.shape[-1])
        return {
            "features": [conv(reduced) for conv in maps],
            **self.rpn([conv4], [(self.stride, self.stride)], size),
        }

    def offsets(self, maps: Tensor, rois: Tensor) -> Tensor:
        """`(B, k * k * 2 G, h, w)`, `(R, 5)` -> how far each part moves, (columns, rows) in tenths of the box:
        `(R, 2 G, k, k)`."""
        return deformable_ps_roi_pool(maps, rois, None, self.group, self.stride)

    def votes(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        """What each part of each region says of each class: `(R, 5)` -> `(R, K + 1, k, k)`; their mean is its logit."""
        moves = self.offsets(features[2], rois)
        return deformable_ps_roi_pool(features[0], rois, moves, self.group, self.stride)

    def head(self, features: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        logits = self.votes(features, rois).float().mean(dim=(2, 3))  # R,K+1
        moves = self.offsets(features[3], rois)
        deltas = deformable_ps_roi_pool(features[1], rois, moves, self.group, self.stride).float().mean(dim=(2, 3))
        return {"class_logits": logits, "box_deltas": deltas[:, None, 4:]}  # the first four are the background's

    def forward(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Any]:
        output = self.propose(image)
        if proposals is not None:
            output["proposals"] = proposals
        return {**output, **self.head(output["features"], output["proposals"])}


def deform_last(encoder: nn.Module, name: str, count: int, offset_groups: int = 4) -> list[DeformableConv2d]:
    """Make the last `count` 3x3 convolutions deformable, in place. Raises `UserError` where there are fewer."""
    convs = [(path, part) for path, part in encoder.named_modules() if isinstance(part, nn.Conv2d)]
    fit = [(path, conv) for path, conv in convs if conv.kernel_size == (3, 3) and conv.stride == (1, 1)]
    if not 0 <= count <= len(fit):
        raise UserError(
            f"deformable is how many of the 3x3 convolutions of stride 1 are, and {name} has {len(fit)}; got {count}"
        )
    layers = []
    for path, conv in fit[len(fit) - count :]:
        layers += make_deformable(encoder, [path], offset_groups, offset_dilation=conv.dilation[0])
    return layers
