"""Which anchors and regions stand for which objects, and which of them are learned from.

A label is 0 for background, -1 for what is not learned from, and above 0 for an object: 1 for an anchor, the class
plus 1 for a region. Objects that are not `clear` are never stood for, and what lies in one by half is no background
either.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from perpixel.detection.objects import Objects
from perpixel.detection.operators import overlaps, shares_inside

MOST_OVERLAPS = 2**24
"""So many are held at once: 64 MiB, whatever the number of objects and anchors."""
HALF = 0.5


def label_anchors(anchors: Tensor, objects: Objects, low: float = 0.3, high: float = 0.7) -> tuple[Tensor, Tensor]:
    """`(N, 4)` anchors -> labels `(N,)` in -1, 0, 1, and the boxes `(N, 4)` that those of label 1 stand for.

    An anchor stands for the object that it overlaps most, where IoU is `high` or more, or where no other anchor
    overlaps some object as much; below `low` it is background, unless so.

    Source: Ren et al., "Faster R-CNN", NIPS 2015, section 3.1.2.
    """
    clear = objects.pick(objects.clear)
    overlap, index = best_overlaps(anchors, clear.boxes)
    labels = torch.full_like(index, -1)
    labels[overlap < low] = 0
    labels[(labels == 0) & in_unclear(anchors, objects)] = -1
    labels[(overlap >= high) | nobodys_better(anchors, clear.boxes)] = 1
    return labels, stood_for(index, clear, anchors)


def label_regions(
    boxes: Tensor, objects: Objects, foreground: float = 0.5, least_background: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`(N, 4)` regions -> labels `(N,)`, and the boxes `(N, 4)` that those above 0 stand for.

    A region stands for the object that it overlaps most, where IoU is `foreground` or more; it is background where that
    is at least `least_background`, or the image has no object to stand for; and else not learned from.

    Source: Girshick, "Fast R-CNN", ICCV 2015, section 2.3.
    """
    clear = objects.pick(objects.clear)
    overlap, index = best_overlaps(boxes, clear.boxes)
    classes = clear.classes[index] if len(clear) else torch.zeros_like(index)
    background = (overlap >= (least_background if len(clear) else 0.0)) & ~in_unclear(boxes, objects)
    labels = torch.where(background, 0, -1)
    return torch.where(overlap >= foreground, classes + 1, labels), stood_for(index, clear, boxes)


def sample(labels: Tensor, count: int, share: float, generator: torch.Generator | None = None) -> Tensor:
    """At random, up to `count` of `(N,)` labels, up to a share of them above 0, the others 0: indices.

    `generator` is the CPU's; None is PyTorch's own.
    """
    objects, background = (labels > 0).nonzero().squeeze(1), (labels == 0).nonzero().squeeze(1)
    chosen = shuffled(objects, generator)[: int(count * share)]
    return torch.cat([chosen, shuffled(background, generator)[: count - len(chosen)]])


def shuffled(values: Tensor, generator: torch.Generator | None) -> Tensor:
    return values[torch.randperm(len(values), generator=generator).to(values.device)]


def best_overlaps(candidates: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """For each of `(N, 4)` candidates the largest IoU with any of `(M, 4)` boxes, and with which; else 0, 0."""
    if not len(boxes):
        return candidates.new_zeros(len(candidates)), candidates.new_zeros(len(candidates), dtype=torch.int64)
    best = [overlaps(part, boxes.to(part.dtype)).max(dim=1) for part in in_parts(candidates, len(boxes))]
    return torch.cat([b.values for b in best]), torch.cat([b.indices for b in best])


def nobodys_better(candidates: Tensor, boxes: Tensor) -> Tensor:
    """`(N,)` bool: whether a candidate overlaps some box as much as the best candidate does, and at all."""
    if not len(boxes) or not len(candidates):
        return torch.zeros(len(candidates), dtype=torch.bool, device=candidates.device)
    boxes = boxes.to(candidates.dtype)
    parts = list(in_parts(candidates, len(boxes)))
    best = torch.stack([overlaps(part, boxes).amax(dim=0) for part in parts]).amax(dim=0)
    return torch.cat([((found := overlaps(part, boxes)) == best).logical_and(found > 0).any(dim=1) for part in parts])


def in_unclear(candidates: Tensor, objects: Objects) -> Tensor:
    """`(N,)` bool: whether half of a candidate or more lies in a difficult object or in a crowd."""
    boxes = objects.boxes[objects.difficult | objects.crowd].to(candidates.dtype)
    if not len(boxes):
        return torch.zeros(len(candidates), dtype=torch.bool, device=candidates.device)
    return torch.cat([shares_inside(p, boxes).amax(dim=1) >= HALF for p in in_parts(candidates, len(boxes))])


def in_parts(candidates: Tensor, boxes: int) -> Iterator[Tensor]:
    """Candidates in parts whose overlaps with so many boxes are no more than `MOST_OVERLAPS`; one part at least."""
    yield from candidates.split(max(1, MOST_OVERLAPS // boxes))


def stood_for(index: Tensor, objects: Objects, candidates: Tensor) -> Tensor:
    """`(N, 4)`: the boxes of the objects, or the candidates where there is none."""
    return objects.boxes[index].to(candidates.dtype) if len(objects) else candidates
