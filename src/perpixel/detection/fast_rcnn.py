"""Fast R-CNN on VGG-16: regions of a shared map, each through two large layers of its own.

Girshick, "Fast R-CNN", ICCV 2015, arXiv:1504.08083. It is the network in which hard regions were first mined online:
Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with Online Hard Example Mining", CVPR 2016,
arXiv:1604.03540 (see ohem.py).

    image B,C,H,W
      │
    VGG-16 to conv5_3
      │ B,512,H/16,W/16
    RoI pooling 7x7 of regions that come from elsewhere R,5
      │ R,512,7,7
    fc6 4096 ─ ReLU ─ dropout ─ fc7 4096 ─ ReLU ─ dropout
      ├─ linear ─ class logits R,K+1
      └─ linear ─ deltas R,K,4

Differs from the paper:
- Regions come from selective search there, 2000 an image. Here they are an argument; without it they are windows of
  fixed sizes and shapes at every place of the map, cut to the image, as in detectors before.
- Any encoder of timm, and its deepest stage of any stride, not conv5_3 of VGG-16 alone. With `pretrained` it has
  ImageNet's weights; fc6 and fc7 start fresh, which have them too in the paper.
- Images are padded to a multiple of the stride, and to two strides at least, by repeating the border.
- The double learning rate of biases, and the freezing of conv1 and conv2, are the trainer's business.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image, roi_pool

from perpixel.detection.operators import cell_anchors, grid_anchors
from perpixel.detection.rpn import normal_init
from perpixel.layers.feature_pyramid import size_of
from perpixel.models.backbones.timm_encoder import TimmEncoder

BINS = 7


class FastRCNN(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up, and regions
    `(R, 5)`.

    It returns the keys that `perpixel.detection` lists, without those of anchors; each class has its own `box_deltas`,
    `(R, K, 4)`. Its `features` are the map `(B, 512, h, w)`.

    Options: `encoder`, a name of `timm.list_models()`; `pretrained`, whether to load its ImageNet weights; `stride`
    of the stage whose map is shared; `channels` of fc6 and fc7; `dropout` behind each; `window_sizes` in pixels and
    `window_ratios`, height / width, of the windows where no regions are given. Raises `UserError` for an encoder or
    weights that cannot be had, and a stride that the encoder lacks.
    """

    cells: Tensor

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "vgg16",
        pretrained: bool | str = False,
        stride: int = 16,
        channels: int = 4096,
        dropout: float = 0.5,
        window_sizes: Sequence[float] = (64, 128, 256),
        window_ratios: Sequence[float] = (0.5, 1, 2),
    ) -> None:
        super().__init__()
        self.stride = stride
        self.encoder = TimmEncoder(encoder, in_channels, pretrained, strides=(stride,))
        self.fc6 = nn.Linear(self.encoder.channels[0] * BINS**2, channels)
        self.fc7 = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(channels, num_classes + 1)
        self.box = nn.Linear(channels, 4 * (num_classes + 1))
        self.register_buffer("cells", cell_anchors(window_sizes, window_ratios), persistent=False)
        for layer, std in ((self.fc6, 0.005), (self.fc7, 0.01), (self.score, 0.01), (self.box, 0.001)):
            normal_init(layer, std)

    def windows(self, features: Tensor, image: Tensor) -> Tensor:
        """The same boxes in every image, in place of selective search's: `(R, 5)`."""
        boxes = grid_anchors(self.cells, size_of(features), (self.stride, self.stride))
        boxes = clip_boxes_to_image(boxes, (image.shape[-2], image.shape[-1]))
        return torch.cat([F.pad(boxes, (1, 0), value=i) for i in range(len(image))])

    def propose(self, image: Tensor) -> dict[str, Any]:
        """The map, and the windows."""
        (features,) = self.encoder(self.encoder.extend(image))  # B,512,H/16,W/16
        return {"features": [features], "proposals": self.windows(features, image)}

    def head(self, features: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        kind = torch.promote_types(features[0].dtype, torch.float32)  # the operator has no half on every device
        last_pixels = (rois - rois.new_tensor([0, 0, 0, 1, 1])).to(kind)  # its boxes end at a pixel, not behind it
        pooled = roi_pool(features[0].to(kind), last_pixels, BINS, 1 / self.stride)  # R,512,7,7
        x = self.dropout(F.relu(self.fc6(pooled.flatten(1))))  # R,4096
        x = self.dropout(F.relu(self.fc7(x)))
        deltas = self.box(x).float().unflatten(1, (-1, 4))  # R,K+1,4; the first are the background's
        return {"class_logits": self.score(x).float(), "box_deltas": deltas[:, 1:]}

    def forward(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Any]:
        output = self.propose(image)
        if proposals is not None:
            output["proposals"] = proposals
        return {**output, **self.head(output["features"], output["proposals"])}
