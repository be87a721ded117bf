"""The region proposal network: from the maps of an encoder to the boxes that may hold an object.

Ren, He, Girshick, Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", NIPS 2015,
arXiv:1506.01497.

    map B,C,h,w
      │
     3x3 ─ ReLU ─┬─ 1x1 ─ is it an object?  B,A,h,w    A anchors at every place
                 └─ 1x1 ─ deltas            B,4A,h,w
                            │
    anchors ── moved by deltas ── cut to the image ── the best of each map ── NMS ── the best of all: R,5

Differs from the paper:
- One score an anchor in place of two: a softmax of two depends on their difference alone.
- Several maps may propose, with anchors of their own (Lin et al., "Feature Pyramid Networks", CVPR 2017, section 4.1).
- Anchors that cross the image's border take part in training too.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from perpixel.core import Size
from perpixel.detection.operators import decode, grid_anchors
from perpixel.layers.feature_pyramid import size_of

LEAST_SIDE = 1e-3
"""Pixels; a thinner box is no proposal."""


class RegionProposals(nn.Module):
    """Objectness, deltas, anchors and proposals, from one map or several.

    Args:
        in_channels: of the maps.
        channels: of the 3x3 convolution.
        cells: `(L, A, 4)`: for each map its anchors around 0, 0.
        before: how many of the best anchors of each map go into NMS.
        after: how many proposals an image has at most.
        iou: of two boxes of a map that overlap by more, the worse is no proposal.
        centred: see `grid_anchors`.
    """

    cells: Tensor

    def __init__(
        self,
        in_channels: int,
        channels: int,
        cells: Tensor,
        before: int,
        after: int,
        iou: float = 0.7,
        centred: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.logits = nn.Conv2d(channels, cells.shape[1], 1)
        self.deltas = nn.Conv2d(channels, 4 * cells.shape[1], 1)
        self.register_buffer("cells", cells, persistent=False)
        self.before, self.after, self.iou, self.centred = before, after, iou, centred
        for conv in (self.conv, self.logits, self.deltas):
            normal_init(conv, 0.01)

    def forward(self, maps: Sequence[Tensor], strides: Sequence[tuple[float, float]], size: Size) -> dict[str, Tensor]:
        """Maps `(B, in_channels, h_i, w_i)`, their strides (rows, columns) and the image's (H, W) -> the keys
        `rpn_logits`, `rpn_deltas`, `anchors` and `proposals` of a detector's output, in fp32 at least."""
        hidden = [F.relu(self.conv(x)) for x in maps]
        logits = [by_place(self.logits(x), 1).squeeze(2) for x in hidden]
        deltas = torch.cat([by_place(self.deltas(x), 4) for x in hidden], dim=1)
        anchors = [
            grid_anchors(cells.to(deltas.dtype), size_of(x), stride, self.centred)
            for cells, x, stride in zip(self.cells, maps, strides, strict=True)
        ]
        output = {"rpn_logits": torch.cat(logits, dim=1), "rpn_deltas": deltas, "anchors": torch.cat(anchors)}
        return {**output, "proposals": self.propose(**output, counts=[len(a) for a in anchors], size=size)}

    @torch.no_grad()
    def propose(
        self, rpn_logits: Tensor, rpn_deltas: Tensor, anchors: Tensor, counts: Sequence[int], size: Size
    ) -> Tensor:
        """The proposals of each image, best first: `(R, 5)`. `counts` are how many anchors each map has."""
        level = torch.arange(len(counts), device=anchors.device).repeat_interleave(
            torch.tensor(counts, device=anchors.device)
        )
        proposals = []
        for image, (scores, moves) in enumerate(zip(rpn_logits, rpn_deltas, strict=True)):
            best = best_of_each(scores, counts, self.before)
            boxes = clip_boxes_to_image(decode(moves[best], anchors[best]), size)
            thick = remove_small_boxes(boxes, LEAST_SIDE)
            boxes, best = boxes[thick], best[thick]
            kept = batched_nms(boxes, scores[best].sigmoid(), level[best], self.iou)[: self.after]
            proposals.append(F.pad(boxes[kept], (1, 0), value=image))
        return torch.cat(proposals)


def by_place(x: Tensor, values: int) -> Tensor:
    """`(B, A * values, h, w)` -> `(B, h * w * A, values)` in the order of `grid_anchors`, and in fp32 at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x.unflatten(1, (-1, values)).permute(0, 3, 4, 1, 2).flatten(1, 3)


def best_of_each(scores: Tensor, counts: Sequence[int], most: int) -> Tensor:
    """Which of `(N,)` scores are the `most` highest of their part, for parts of `counts` scores: indices."""
    chosen, start = [], 0
    for part in scores.split(list(counts)):
        chosen.append(part.topk(min(most, len(part))).indices + start)
        start += len(part)
    return torch.cat(chosen)


def normal_init(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    """Normal weights and zero biases, as all the papers here start what ImageNet does not give them."""
    nn.init.normal_(layer.weight, mean=0.0, std=std)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
