"""What a detector descends: do anchors and regions know an object, and where it ends."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError, nearest
from perpixel.detection.matching import label_anchors, label_regions, sample
from perpixel.detection.objects import Objects
from perpixel.detection.ohem import hard_regions
from perpixel.detection.operators import DELTA_SCALES, encode

Head = Callable[[Sequence[Tensor], Tensor], Mapping[str, Tensor]]


class DetectionLoss:
    """The loss of a detector's output and the objects of its images.

        rpn_class   mean cross entropy of sampled anchors: object or not; 0 where nothing proposes
        rpn_box     sum of smooth L1 over those that are objects, over the number of sampled anchors
        class       mean cross entropy of the regions learned from: the background, or which class
        box         sum of smooth L1 over those that are objects, over the number of regions
        loss        their sum

    Regions are the output's proposals and the objects themselves. Without OHEM a sample of each image's is learned
    from; with it, of all of them, the hardest (ohem.py). A batch without objects has only background to learn; where
    there is nothing at all to learn from, a term is 0.

    Args:
        head: the detector's, called with the output's features and the regions learned from.
        anchors: how many an image has in a sample, and `anchor_share` of them objects at most.
        anchor_ious: below the first an anchor is background, from the second on an object.
        regions: how many an image has in a sample, and `region_share` of them objects at most; with OHEM this many
            times the number of images.
        foreground: the IoU from which on a region is an object.
        least_background: the IoU from which on it is background; 0.1 in Fast R-CNN.
        rpn_beta, box_beta: where smooth L1 turns from a parabola into a line, in the deltas' own units.
        ohem: whether the hardest regions are learned from.
        ohem_iou: see `hard_regions`.
        generator: of the samples, on the CPU; None is PyTorch's own.

    Sources: Girshick, "Fast R-CNN", ICCV 2015, section 2.3; Ren et al., "Faster R-CNN", NIPS 2015, section 3.1.2.
    """

    def __init__(
        self,
        head: Head,
        anchors: int = 256,
        anchor_share: float = 0.5,
        anchor_ious: tuple[float, float] = (0.3, 0.7),
        regions: int = 128,
        region_share: float = 0.25,
        foreground: float = 0.5,
        least_background: float = 0.0,
        rpn_beta: float = 1 / 9,
        box_beta: float = 1.0,
        ohem: bool = False,
        ohem_iou: float | None = 0.7,
        generator: torch.Generator | None = None,
    ) -> None:
        if anchors < 1 or regions < 1:
            raise UserError(f"anchors and regions must be 1 or more; got {anchors} and {regions}")
        self.head, self.generator = head, generator
        self.anchors, self.anchor_share, self.anchor_ious, self.rpn_beta = anchors, anchor_share, anchor_ious, rpn_beta
        self.regions, self.region_share, self.box_beta = regions, region_share, box_beta
        self.foreground, self.least_background = foreground, least_background
        self.ohem, self.ohem_iou = ohem, ohem_iou

    def __call__(self, output: Mapping[str, Any], objects: Sequence[Objects]) -> dict[str, Tensor]:
        """What a detector's `propose` or `forward` returned, and the objects of each image -> "loss", and its parts,
        detached.

        Raises `UserError` where there are not as many objects' lists as images.
        """
        images = len(output["features"][0])
        if len(objects) != images:
            raise UserError(f"expected the objects of {images} images; got those of {len(objects)}")
        objects = [o.to(output["proposals"].device) for o in objects]
        parts = self.rpn_losses(output, objects) if "rpn_logits" in output else {}
        parts = {**parts, **self.region_losses(output, objects)}
        return {"loss": torch.stack(list(parts.values())).sum(), **{k: v.detach() for k, v in parts.items()}}

    def rpn_losses(self, output: Mapping[str, Any], objects: Sequence[Objects]) -> dict[str, Tensor]:
        logits, deltas, truth, goals = [], [], [], []
        for scores, moves, here in zip(output["rpn_logits"], output["rpn_deltas"], objects, strict=True):
            labels, boxes = label_anchors(output["anchors"], here, *self.anchor_ious)
            chosen = sample(labels, self.anchors, self.anchor_share, self.generator)
            known = chosen[labels[chosen] > 0]
            logits.append(scores[chosen])
            truth.append(labels[chosen])
            deltas.append(moves[known])
            goals.append(encode(boxes[known], output["anchors"][known]))
        scores, wanted = torch.cat(logits), torch.cat(truth)
        classes = F.binary_cross_entropy_with_logits(scores, wanted.to(scores.dtype), reduction="sum")
        boxes = smooth_l1(torch.cat(deltas), torch.cat(goals), self.rpn_beta).sum()
        return {"rpn_class": classes / max(len(scores), 1), "rpn_box": boxes / max(len(scores), 1)}

    def region_losses(self, output: Mapping[str, Any], objects: Sequence[Objects]) -> dict[str, Tensor]:
        rois, labels, boxes = self.regions_of(output["proposals"], objects)
        if self.ohem:
            with torch.no_grad():
                guess = self.head(output["features"], rois)
                losses = sum(losses_of_each(guess, rois, labels, boxes, self.box_beta))
            assert isinstance(losses, Tensor)
            chosen = hard_regions(losses, rois, labels, self.regions * len(objects), self.ohem_iou)
            rois, labels, boxes = rois[chosen], labels[chosen], boxes[chosen]
        found = self.head(output["features"], rois)
        classes, moves = losses_of_each(found, rois, labels, boxes, self.box_beta)
        return {"class": classes.sum() / max(len(rois), 1), "box": moves.sum() / max(len(rois), 1)}

    def regions_of(self, proposals: Tensor, objects: Sequence[Objects]) -> tuple[Tensor, Tensor, Tensor]:
        """Regions `(R, 5)`, their labels `(R,)` and the boxes `(R, 4)` that they stand for: with OHEM all of them, else
        a sample of each image's."""
        rois, labels, boxes = [], [], []
        for image, here in enumerate(objects):
            own = proposals[proposals[:, 0] == image, 1:]
            own = torch.cat([own, here.boxes[here.clear].to(own.dtype)])
            known, wanted = label_regions(own, here, self.foreground, self.least_background)
            if not self.ohem:
                chosen = sample(known, self.regions, self.region_share, self.generator)
                own, known, wanted = own[chosen], known[chosen], wanted[chosen]
            rois.append(F.pad(own, (1, 0), value=image))
            labels.append(known)
            boxes.append(wanted)
        return torch.cat(rois), torch.cat(labels), torch.cat(boxes)


def losses_of_each(
    found: Mapping[str, Tensor], rois: Tensor, labels: Tensor, boxes: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """The losses of class and of box of each region, `(R,)` both; 0 for one that is not learned from, or has no box."""
    logits, deltas = found["class_logits"], found["box_deltas"]
    classes = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
    moves = torch.zeros_like(classes)
    known = (labels > 0).nonzero().squeeze(1)
    own = deltas[known, 0] if deltas.shape[1] == 1 else deltas[known, labels[known] - 1]
    goals = encode(boxes[known], rois[known, 1:], DELTA_SCALES).to(own.dtype)
    return classes, moves.index_copy(0, known, smooth_l1(own, goals, beta).sum(dim=1).to(moves.dtype))


def smooth_l1(found: Tensor, wanted: Tensor, beta: float) -> Tensor:
    """Of each value, d its distance: d^2 / (2 beta) where d < beta, else d - beta / 2."""
    return F.smooth_l1_loss(found, wanted, beta=beta, reduction="none")


LOSS_OPTIONS: dict[str, dict[str, Any]] = {
    "deformable_rfcn": {"regions": 128, "ohem": True, "ohem_iou": None},
    "fast_rcnn_vgg16": {"regions": 64, "least_background": 0.1},
    "fpn_detector": {"regions": 512},
    "rfcn": {"regions": 128, "ohem": True, "ohem_iou": None},
}
"""What each paper learns from; options of `DetectionLoss`."""


def detection_loss(name: str, detector: nn.Module, **options: Any) -> DetectionLoss:
    """The loss of the detector `name`, as its paper has it but for the options said (see `DetectionLoss`).

    With `ohem=True`, `least_background` is 0 unless said, as in the paper on OHEM.

    Raises `UserError` for an unknown detector or option, with the nearest right one.
    """
    if name not in LOSS_OPTIONS:
        raise UserError(f'There is no detector "{name}".{nearest(name, LOSS_OPTIONS)}')
    known = [p for p in inspect.signature(DetectionLoss).parameters if p != "head"]
    for option in options:
        if option not in known:
            raise UserError(
                f'The loss of a detector has no option "{option}": it takes {", ".join(known)}.{nearest(option, known)}'
            )
    chosen = {**LOSS_OPTIONS[name], **({"least_background": 0.0} if options.get("ohem") else {}), **options}
    return DetectionLoss(detector.head, **chosen)  # type: ignore[arg-type]  # a detector has a head
