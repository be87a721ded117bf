"""R-FCN: a detector in which all that has weights sees the whole image, and each region only takes a vote.

Dai, Li, He, Sun, "R-FCN: Object Detection via Region-based Fully Convolutional Networks", NIPS 2016, arXiv:1605.06409.
Sizes, and what the paper leaves open, are those of the authors' code (github.com/daijifeng001/R-FCN).

    image B,C,H,W
      │
    encoder, stages 1 to 4
      │ B,1024,H/16,W/16 ── region proposal network ── proposals R,5
    stage 5, stride 1, dilation 2                          │
      │ B,2048,H/16,W/16                                   │
     1x1 1024 ─ ReLU                                       │
      ├─ 1x1 ─ k²(K+1),H/16,W/16 ── position-sensitive RoI pooling ── R,K+1,k,k ── mean ── class logits R,K+1
      └─ 1x1 ─ 8k²,H/16,W/16 ────── position-sensitive RoI pooling ── R,8,k,k ──── mean ── deltas R,1,4

Map (i, j) of a class learns what the part in row i and column j of an object of this class looks like; a box that lies
right has all of its parts where they belong, and gets k² votes.

Differs from the paper:
- Any encoder of timm that can be dilated, not ResNet alone; timm's ResNets, as torchvision's, stride in the 3x3
  convolutions, and the first block of a dilated stage still has the dilation of the stage before. Weights are fresh
  unless `pretrained`.
- The region proposal network gives one score an anchor, and its anchors are not rounded (see rpn.py).
- The authors normalise by ImageNet's statistics, with `frozen_norms`, and train neither the stem nor stage 2: freezing
  these, and the double learning rate of biases, is the trainer's business.
- Images are padded to a multiple of the stride, and to two strides at least, by repeating the border.
- `stride`, `channels`, `group`, the anchors and the number of proposals are options; the paper's are 16, 1024, 7, 3
  sizes with 3 ratios, and 300 of 6000.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.detection.operators import cell_anchors, ps_roi_pool
from perpixel.detection.rpn import RegionProposals, normal_init
from perpixel.models.backbones.timm_encoder import TimmEncoder


class RFCN(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns the keys that `perpixel.detection` lists; all classes share their `box_deltas`, `(R, 1, 4)`. Its
    `features` are the score maps `(B, k * k * (K + 1), h, w)`, of which channel c * k * k + i * k + j is map (i, j) of
    class c, and the box maps `(B, k * k * 8, h, w)`.

    Options: `encoder`, a name of `timm.list_models()`; `pretrained`, whether to load its ImageNet weights;
    `frozen_norms`, whether its batch norms keep parameters and statistics in training; `stride`, 16, or 8 for small
    objects; `channels` of the layer before the maps; `group`, k; `anchor_sizes` in pixels and `anchor_ratios`, height
    / width; `proposals`, how many an image has at most. Raises `UserError` for an encoder or weights that cannot be
    had, and another stride.
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
    ) -> None:
        super().__init__()
        self.stride, self.group = stride, group
        self.encoder = dilated_encoder(encoder, in_channels, pretrained, frozen_norms, stride)
        conv4, conv5 = self.encoder.channels
        cells = cell_anchors(anchor_sizes, anchor_ratios)[None]
        self.rpn = RegionProposals(conv4, 512, cells, before=6000, after=proposals)
        self.reduce = nn.Conv2d(conv5, channels, 1)
        self.score_maps = nn.Conv2d(channels, group**2 * (num_classes + 1), 1)
        self.box_maps = nn.Conv2d(channels, group**2 * 8, 1)
        for conv in (self.reduce, self.score_maps, self.box_maps):
            normal_init(conv, 0.01)

    def propose(self, image: Tensor) -> dict[str, Any]:
        """All that does not depend on regions, and the proposals."""
        conv4, conv5 = self.encoder(self.encoder.extend(image))  # B,1024,H/16,W/16 and B,2048,H/16,W/16
        reduced = F.relu(self.reduce(conv5))  # B,1024,H/16,W/16
        features = [self.score_maps(reduced), self.box_maps(reduced)]
        size = (image.shape[-2], image.shape[-1])
        return {"features": features, **self.rpn([conv4], [(self.stride, self.stride)], size)}

    def votes(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        """What each part of each region says of each class: `(R, 5)` -> `(R, K + 1, k, k)`; their mean is its logit."""
        return ps_roi_pool(features[0], rois, self.group, self.stride)

    def head(self, features: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        logits = self.votes(features, rois).float().mean(dim=(2, 3))  # R,K+1
        deltas = ps_roi_pool(features[1], rois, self.group, self.stride).float().mean(dim=(2, 3))  # R,8
        return {"class_logits": logits, "box_deltas": deltas[:, None, 4:]}  # the first four are the background's

    def forward(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Any]:
        output = self.propose(image)
        if proposals is not None:
            output["proposals"] = proposals
        return {**output, **self.head(output["features"], output["proposals"])}


def dilated_encoder(
    name: str, in_channels: int, pretrained: bool | str, frozen_norms: bool, stride: int
) -> TimmEncoder:
    """An encoder of timm whose last two stages have the stride. Raises `UserError` where there is none such."""
    if stride not in (8, 16):
        raise UserError(f"stride must be 8 or 16; got {stride}")
    encoder = TimmEncoder(name, in_channels, pretrained, strides=(stride, stride), output_stride=stride)
    if frozen_norms:
        encoder.encoder = freeze_batch_norm_2d(encoder.encoder)
    return encoder
