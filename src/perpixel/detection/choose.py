"""From a detector's output to the boxes that it stands for."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from perpixel.core import Size
from perpixel.detection.objects import Detections
from perpixel.detection.operators import DELTA_SCALES, decode, soft_nms
from perpixel.detection.operators.soft_nms import Decay

LEAST_SIDE = 0.01
"""Pixels; a thinner box is no object."""


@torch.no_grad()
def choose(
    output: Mapping[str, Any],
    size: Size,
    least_score: float = 0.05,
    iou: float = 0.5,
    most: int = 100,
    soft: Decay | None = None,
) -> list[Detections]:
    """For each image of a detector's output what it found, best first.

    Args:
        output: a detector's, of which `features` (for the number of images), `proposals`, `class_logits` and
            `box_deltas` are read.
        size: (H, W) of the images; boxes are cut to it.
        least_score: a probability that a box must exceed. 0.05 hardly changes average precision, and saves time.
        iou: of two boxes of a class that overlap by more, the worse goes. 0.3 in R-FCN and Fast R-CNN, 0.5 in
            torchvision.
        most: how many boxes an image has at most, over all classes.
        soft: "linear" (from `iou` on) or "gaussian" lower the scores of overlapping boxes instead (see `soft_nms`).

    A region may be several objects of different classes.
    """
    rois, scores = output["proposals"], output["class_logits"].softmax(dim=1)[:, 1:]
    boxes = decode(output["box_deltas"], rois[:, 1:].to(output["box_deltas"].dtype), DELTA_SCALES)
    boxes = clip_boxes_to_image(boxes, size).expand(-1, scores.shape[1], -1)
    found = []
    for image in range(len(output["features"][0])):
        here = rois[:, 0] == image
        found.append(choose_in_image(boxes[here], scores[here], least_score, iou, most, soft))
    return found


def choose_in_image(
    boxes: Tensor, scores: Tensor, least_score: float, iou: float, most: int, soft: Decay | None
) -> Detections:
    """`(R, K, 4)` boxes and `(R, K)` scores of one image -> its detections."""
    region, classes = (scores > least_score).nonzero().unbind(1)
    boxes, scores = boxes[region, classes], scores[region, classes]
    thick = remove_small_boxes(boxes, LEAST_SIDE)
    boxes, scores, classes = boxes[thick], scores[thick], classes[thick]
    if soft is None:
        kept = batched_nms(boxes, scores, classes, iou)[:most]
        return Detections(boxes[kept], scores[kept], classes[kept])
    kept, lowered = soften(boxes, scores, classes, least_score, iou, soft)
    best = lowered.argsort(descending=True, stable=True)[:most]
    return Detections(boxes[kept[best]], lowered[best], classes[kept[best]])


def soften(
    boxes: Tensor, scores: Tensor, classes: Tensor, least_score: float, iou: float, decay: Decay
) -> tuple[Tensor, Tensor]:
    """Soft-NMS within each class: the indices of the boxes that remain, and their scores."""
    kept, lowered = [torch.zeros_like(classes[:0])], [scores[:0]]
    for label in classes.unique().tolist():
        here = (classes == label).nonzero().squeeze(1)
        chosen, left = soft_nms(boxes[here], scores[here], decay, iou, least=least_score)
        kept.append(here[chosen])
        lowered.append(left)
    return torch.cat(kept), torch.cat(lowered)
