"""Faster R-CNN on a feature pyramid: small objects are looked for on fine maps, large ones on coarse maps.

Lin, Dollár, Girshick, He, Hariharan, Belongie, "Feature Pyramid Networks for Object Detection", CVPR 2017,
arXiv:1612.03144. What the paper leaves open is torchvision's (fasterrcnn_resnet50_fpn), whose weights fit:
`from_torchvision` renames them.

    image B,C,H,W
      │
    encoder          feature pyramid
    C2 H/4  ─── 1x1 ─(+)─ 3x3 ─ P2 256,H/4  ─┐
                      ↑ x2                   │
    C3 H/8  ─── 1x1 ─(+)─ 3x3 ─ P3 256,H/8  ─┤
                      ↑ x2                   ├─ region proposal network ── proposals R,5
    C4 H/16 ─── 1x1 ─(+)─ 3x3 ─ P4 256,H/16 ─┤                               │
                      ↑ x2                   │       each on the level of its size: RoI align 7x7
    C5 H/32 ─── 1x1 ──┴── 3x3 ─ P5 256,H/32 ─┤                               │ R,256,7,7
                                │            │       fc6 1024 ─ ReLU ─ fc7 1024 ─ ReLU
                   every second ┴─ P6 H/64 ──┘         ├─ linear ─ class logits R,K+1
                                                       └─ linear ─ deltas R,K,4

Differs from the paper:
- Any encoder of timm that has stages of stride 4, 8, 16 and 32, not ResNet alone. Weights are fresh unless
  `pretrained`.
- RoI align (He et al., "Mask R-CNN", ICCV 2017) in place of RoI pooling, as in all code since.
- As torchvision, anchors are rounded, and around the top left corner of what a place stands for; a level's stride is
  the image's size over the map's in whole numbers, which for P6 is not always 64. Images are padded with zeros to a
  multiple of 32.
- The authors freeze batch norms, with `frozen_norms`, and train neither the stem nor stage 2, which is the trainer's
  business.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.ops import roi_align

from perpixel.detection.operators import cell_anchors
from perpixel.detection.rpn import RegionProposals, normal_init
from perpixel.layers.feature_pyramid import FeaturePyramid, size_of
from perpixel.layers.init import kaiming_init
from perpixel.layers.pad import round_up
from perpixel.models.backbones.timm_encoder import TimmEncoder

STRIDES = (4, 8, 16, 32)
BINS = 7


class FPNDetector(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns the keys that `perpixel.detection` lists; each class has its own `box_deltas`, `(R, K, 4)`. Its
    `features` are P2 to P5, `(B, 256, h_i, w_i)`.

    Options: `encoder`, a name of `timm.list_models()`; `pretrained`, whether to load its ImageNet weights;
    `frozen_norms`, whether its batch norms keep parameters and statistics in training; `channels` of the pyramid;
    `hidden` of fc6 and fc7; `anchor_sizes` of the five levels, in pixels, and `anchor_ratios`, height / width;
    `proposals`, how many an image has at most. Raises `UserError` for an encoder or weights that cannot be had.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "resnet50",
        pretrained: bool | str = False,
        frozen_norms: bool = False,
        channels: int = 256,
        hidden: int = 1024,
        anchor_sizes: Sequence[float] = (32, 64, 128, 256, 512),
        anchor_ratios: Sequence[float] = (0.5, 1, 2),
        proposals: int = 1000,
    ) -> None:
        super().__init__()
        self.encoder = TimmEncoder(encoder, in_channels, pretrained, STRIDES)
        if frozen_norms:
            self.encoder.encoder = freeze_batch_norm_2d(self.encoder.encoder)
        self.pyramid = FeaturePyramid(self.encoder.channels, channels)
        cells = torch.stack([cell_anchors([size], anchor_ratios).round() for size in anchor_sizes])
        self.rpn = RegionProposals(channels, channels, cells, before=1000, after=proposals, centred=False)
        self.fc6 = nn.Linear(channels * BINS**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, num_classes + 1)
        self.box = nn.Linear(hidden, 4 * (num_classes + 1))
        kaiming_init(self.pyramid)
        normal_init(self.score, 0.01)
        normal_init(self.box, 0.001)

    def propose(self, image: Tensor) -> dict[str, Any]:
        """All that does not depend on regions, and the proposals."""
        size = (image.shape[-2], image.shape[-1])
        height, width = (round_up(max(length, self.encoder.min_size), STRIDES[-1]) for length in size)
        image = F.pad(image, (0, width - size[1], 0, height - size[0]))
        levels = self.pyramid(self.encoder(image))  # B,256,H/4,W/4 to B,256,H/32,W/32
        p6 = F.max_pool2d(levels[-1], kernel_size=1, stride=2)
        maps = [*levels, p6]
        strides = [(height // h, width // w) for h, w in map(size_of, maps)]
        return {"features": levels, **self.rpn(maps, strides, size)}

    def head(self, features: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        pooled = pyramid_roi_align(features, rois)  # R,256,7,7
        x = F.relu(self.fc7(F.relu(self.fc6(pooled.flatten(1)))))  # R,1024
        deltas = self.box(x).float().unflatten(1, (-1, 4))  # R,K+1,4; the first are the background's
        return {"class_logits": self.score(x).float(), "box_deltas": deltas[:, 1:]}

    def forward(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Any]:
        output = self.propose(image)
        if proposals is not None:
            output["proposals"] = proposals
        return {**output, **self.head(output["features"], output["proposals"])}


def pyramid_roi_align(levels: Sequence[Tensor], rois: Tensor) -> Tensor:
    """P2 to P5 `(B, C, h_i, w_i)`, `(R, 5)` -> `(R, C, 7, 7)`, each region from the level that suits its size."""
    level, kind = level_of(rois[:, 1:]), torch.promote_types(levels[0].dtype, torch.float32)  # no half on every device
    pooled = levels[0].new_zeros(len(rois), levels[0].shape[1], BINS, BINS, dtype=kind)
    for i, (features, stride) in enumerate(zip(levels, STRIDES, strict=True)):
        here = (level == i).nonzero().squeeze(1)
        found = roi_align(features.to(kind), rois[here].to(kind), BINS, 1 / stride, sampling_ratio=2, aligned=False)
        pooled = pooled.index_copy(0, here, found)
    return pooled


def level_of(boxes: Tensor) -> Tensor:
    """`(R, 4)` -> which of P2 to P5, 0 to 3, a box belongs on: P4 where it is as large as 224 x 224 (equation 1).

    >>> level_of(torch.tensor([[0.0, 0.0, 224.0, 224.0], [0.0, 0.0, 100.0, 120.0], [5.0, 5.0, 5.0, 9.0]])).tolist()
    [2, 0, 0]
    """
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    level = (4 + (area.sqrt() / 224).log2() + 1e-6).floor()  # the 1e-6 keeps 224 x 224 on P4
    return level.clamp(2, 5).long() - 2


RENAMED = (
    (r"^backbone\.body\.", "encoder.encoder."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?", r"pyramid.lateral.\1."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?", r"pyramid.output.\1."),
    (r"^rpn\.head\.conv\.(?:0\.0\.)?", "rpn.conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn.logits."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.deltas."),
    (r"^roi_heads\.box_head\.", ""),
    (r"^roi_heads\.box_predictor\.cls_score\.", "score."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "box."),
)
"""torchvision's names and ours; older weights of its lack the "0."."""


def from_torchvision(state: Mapping[str, Tensor], norm_eps: float = 1e-5) -> dict[str, Tensor]:
    """The weights of torchvision's fasterrcnn_resnet50_fpn under the names of `FPNDetector`, for `load_state_dict`.

    Its number of classes is `num_classes` here and the background. `norm_eps` is the epsilon of its batch norms:
    1e-5, but 0 in the network of the weights COCO_V1. The difference goes into the running variances.
    """
    renamed = {}
    for key, value in state.items():
        name = key
        for pattern, new in RENAMED:
            name = re.sub(pattern, new, name)
        renamed[name] = value + (norm_eps - 1e-5) if name.endswith("running_var") else value
    return renamed
