"""Average precision: of all boxes found, best first, how many are right, by how many of the objects they find.

Three conventions, none of which can be compared with another:

    voc07   IoU 0.5; precision at 11 recalls, averaged (Everingham et al., "The Pascal VOC Challenge", IJCV 2010)
    voc10   IoU 0.5; the area under the whole curve (VOC's development kit from 2010 on)
    coco    the mean over IoU 0.50, 0.55 ... 0.95, at 101 recalls each, by pycocotools; also by size of box

In all of them precision at a recall is the best that any recall from there on has, and the mean is over the classes that
have an object. Difficult objects and crowds neither count nor harm: whoever finds one has no error and no find.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from perpixel.core import Size
from perpixel.core.image import Array
from perpixel.detection.annotations import to_coco
from perpixel.detection.objects import Detections, Objects
from perpixel.detection.operators import overlaps, shares_inside

IOU = 0.5
SIZES = ("all", "small", "medium", "large")
"""COCO's: boxes of any area, below 32 x 32 pixels, from there to 96 x 96, and above."""


class DetectionEvaluation:
    """Gathers truth and finds image by image, then says how good they are.

    Args:
        names: of the K classes.
        most: how many boxes of an image and a class count for coco, best first; pycocotools has 100.
    """

    def __init__(self, names: Sequence[str], most: int = 100) -> None:
        self.names, self.most = tuple(names), most
        self.truth: list[Objects] = []
        self.found: list[Detections] = []
        self.sizes: list[Size] = []

    def update(self, truth: Objects, found: Detections, size: Size) -> None:
        """Takes one image of `size` (H, W)."""
        self.truth.append(truth.to("cpu"))
        self.found.append(found.to("cpu"))
        self.sizes.append(size)

    def curve(self, label: int, iou: float = IOU) -> tuple[Array, Array]:
        """Recall and precision of a class after each box found, best first; both empty where there is no object."""
        scores, right, objects = [np.zeros(0)], [np.zeros(0, int)], 0
        for truth, found in zip(self.truth, self.found, strict=True):
            own, here = truth.pick(truth.classes == label), found.classes == label
            order = found.scores[here].argsort(descending=True, stable=True)
            objects += int((~own.difficult & ~own.crowd).sum())
            right.append(match_in_image(found.boxes[here][order].numpy(), own, iou))
            scores.append(found.scores[here][order].numpy())
        if not objects:
            return np.zeros(0), np.zeros(0)
        marks, ranked = np.concatenate(right), np.argsort(-np.concatenate(scores), kind="stable")
        marks = marks[ranked][marks[ranked] >= 0]
        finds = np.cumsum(marks)
        return finds / objects, finds / np.arange(1, len(marks) + 1)

    def results(self) -> dict[str, Any]:
        """All figures, ready for JSON: in [0, 1], None where there is no object to find."""
        has = [self._has(k) for k in range(len(self.names))]
        curves = [self.curve(k) for k in range(len(self.names))]
        voc = {
            name: [rule(*curve) if there else None for curve, there in zip(curves, has, strict=True)]
            for name, rule in (("voc07", voc07), ("voc10", voc10))
        }
        kinds = {name: {"mean": _mean(values), "per_class": values} for name, values in voc.items()}
        return {**kinds, "coco": self._coco(), "objects": self._counts(), "convention": self.convention()}

    def convention(self) -> str:
        """In a line, what the figures mean."""
        with_objects = sum(self._has(k) for k in range(len(self.names)))
        return (
            f"mean over {with_objects} of {len(self.names)} classes; coco: IoU 0.50:0.95, 101 points, "
            f"{self.most} boxes an image at most, sizes by box (32x32, 96x96); voc07: 11 points, voc10: all points, "
            "both IoU 0.5; difficult and crowds neither count nor harm"
        )

    def _has(self, label: int) -> bool:
        return any(bool(((t.classes == label) & ~t.difficult & ~t.crowd).any()) for t in self.truth)

    def _counts(self) -> list[int]:
        """How many objects of each class count."""
        labels = np.concatenate([np.zeros(0, int), *(t.classes[~t.difficult & ~t.crowd].numpy() for t in self.truth)])
        return [int(n) for n in np.bincount(labels, minlength=len(self.names))]

    def _coco(self) -> dict[str, Any]:
        precision, recall = coco_tables(self.truth, self.found, self.sizes, len(self.names), self.most)
        by_size = {f"ap_{size}": _over(precision[..., a]) for a, size in enumerate(SIZES) if a}
        classes = [_over(precision[:, :, k, 0]) for k in range(len(self.names))]
        return {
            "ap": _over(precision[..., 0]),
            "ap50": _over(precision[0, ..., 0]),
            "ap75": _over(precision[5, ..., 0]),
            **by_size,
            "recall": _over(recall[..., 0]),
            "per_class": classes,
            "ap50_per_class": [_over(precision[0, :, k, 0]) for k in range(len(self.names))],
        }


def match_in_image(boxes: Array, truth: Objects, iou: float) -> Array:
    """(N,) of the boxes of a class, best first: 1 a find, 0 an error, -1 neither.

    A box is for the object that it overlaps most, from `iou` on; of two boxes for one object the second is an error. In a
    crowd a box is neither where so much of it lies inside.
    """
    marks, taken = np.zeros(len(boxes), int), set()
    if not len(truth) or not len(boxes):
        return marks
    shared = overlaps(torch.from_numpy(boxes).float(), truth.boxes)
    inside = shares_inside(torch.from_numpy(boxes).float(), truth.boxes)
    shared[:, truth.crowd] = 0
    best, index = (x.numpy() for x in shared.max(dim=1))
    in_crowd = (inside[:, truth.crowd].amax(dim=1) >= iou).numpy() if bool(truth.crowd.any()) else marks.astype(bool)
    for n, (overlap, object_) in enumerate(zip(best, index.tolist(), strict=True)):
        if overlap >= iou and truth.difficult[object_]:
            marks[n] = -1
        elif overlap >= iou and object_ not in taken:
            marks[n] = 1
            taken.add(object_)
        elif in_crowd[n]:
            marks[n] = -1
    return marks


def voc07(recall: Array, precision: Array) -> float:
    """The mean of the best precisions from the recalls 0, 0.1 ... 1 on.

    >>> round(voc07(np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3])), 4)  # 6 recalls at 1, 5 at 2/3
    0.8485
    """
    return float(np.mean([precision[recall >= t - 1e-9].max(initial=0.0) for t in np.linspace(0, 1, 11)]))


def voc10(recall: Array, precision: Array) -> float:
    """The area under the best precisions from each recall on.

    >>> round(voc10(np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3])), 4)  # 0.5 at 1, 0.5 at 2/3
    0.8333
    """
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def coco_tables(
    truth: Sequence[Objects], found: Sequence[Detections], sizes: Sequence[Size], num_classes: int, most: int
) -> tuple[Array, Array]:
    """pycocotools' precision (10 IoUs, 101 recalls, K, 4 sizes) and recall (10, K, 4); -1 where nothing is to be found."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
        theirs, ours = COCO(), COCO()
        images = [{"id": n, "height": size[0], "width": size[1]} for n, size in enumerate(sizes, start=1)]
        categories = [{"id": k + 1} for k in range(num_classes)]
        entries = [entry for n, objects in enumerate(truth, start=1) for entry in _entries(objects, n)]
        finds = [entry for n, f in enumerate(found, start=1) for entry in to_coco(f, n)]
        theirs.dataset = {"images": images, "categories": categories, "annotations": _numbered(entries)}
        ours.dataset = {"images": images, "categories": categories, "annotations": _numbered(finds)}
        theirs.createIndex()
        ours.createIndex()
        evaluation = COCOeval(theirs, ours, "bbox")
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][..., 0], evaluation.eval["recall"][..., 0]


def _entries(objects: Objects, image: int) -> list[dict[str, Any]]:
    """Objects as annotations. pycocotools knows no difficult ones, but ignores those of an area outside of its ranges."""
    rows = zip(
        objects.boxes.tolist(), *(x.tolist() for x in (objects.classes, objects.difficult, objects.crowd)), strict=True
    )
    return [
        {
            "image_id": image,
            "category_id": label + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": -1.0 if difficult else (x2 - x1) * (y2 - y1),
            "iscrowd": int(crowd),
        }
        for (x1, y1, x2, y2), label, difficult, crowd in rows
    ]


def _numbered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ids from 1, for 0 means none in pycocotools, and the area that a find's box has."""
    return [{"area": e["bbox"][2] * e["bbox"][3], **e, "id": n} for n, e in enumerate(entries, start=1)]


def _over(table: Array) -> float | None:
    known = table[table > -1]
    return float(known.mean()) if known.size else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
