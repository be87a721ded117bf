"""Boxes from masks: what a detector is trained on, where nobody drew boxes.

The rules, for all functions here:

- A box is the smallest that holds all pixels of its object: the pixel in row 0 and column 0 alone has the box 0, 0, 1, 1.
- An object of fewer than `least_pixels` pixels, or whose box is narrower or lower than `least_side`, is difficult: it is
  neither learned from nor counted, for a detector cannot be blamed for a crumb of a mask.
- Ignored pixels belong to no object.

Objects come in the order of their first pixel, by rows, within each class or id.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from scipy import ndimage

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.detection.objects import Objects

LEAST_PIXELS, LEAST_SIDE = 16, 3
TOUCHING = np.ones((3, 3), int)
"""Pixels touch by edges and corners."""

Found = tuple[Array, Array, Array]
"""Boxes `(N, 4)`, how many pixels each has, and the value that each had in the mask."""


def objects_of_regions(
    labels: Array, classes: Sequence[int], least_pixels: int = LEAST_PIXELS, least_side: int = LEAST_SIDE
) -> Objects:
    """Every connected region of a class is an object.

    Two objects of a class that touch, by an edge or a corner, are one region and one box, and an object that something in
    front parts is two: that is the limit of masks without instances.

    Args:
        labels: (H, W) integers, `IGNORE` where nothing is known.
        classes: which labels are objects; `classes[k]` is class k of a detector.
        least_pixels, least_side: see above.

    Raises `UserError` for a label given twice.

    >>> mask = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    >>> found = objects_of_regions(mask, classes=[2, 1], least_pixels=2, least_side=2)
    >>> found.boxes.tolist(), found.classes.tolist(), found.difficult.tolist()
    ([[3.0, 0.0, 4.0, 2.0], [0.0, 0.0, 2.0, 2.0]], [0, 1], [True, False])
    """
    if len(set(classes)) < len(classes):
        raise UserError(f"each label can be one class of objects only; got {', '.join(map(str, classes))}")
    boxes, sizes, numbers = [np.zeros((0, 4), np.float32)], [np.zeros(0, int)], [np.zeros(0, int)]
    for number, label in enumerate(classes):
        regions, count = ndimage.label(labels == label, structure=TOUCHING)
        found, pixels, _ = boxes_of_values(regions, range(1, count + 1))
        boxes.append(found)
        sizes.append(pixels)
        numbers.append(np.full(len(found), number))
    return _objects(np.concatenate(boxes), np.concatenate(sizes), np.concatenate(numbers), least_pixels, least_side)


def objects_of_instances(
    ids: Array,
    labels: Array | None = None,
    classes: Sequence[int] = (),
    void: Collection[int] = (0,),
    least_pixels: int = LEAST_PIXELS,
    least_side: int = LEAST_SIDE,
) -> Objects:
    """Every value of an instance mask is an object, in one part or several.

    Without `labels` all objects are of class 0. With them an object has the class of most of its pixels that are not
    `IGNORE`; one whose pixels are mostly of a label that is not in `classes`, or all ignored, is none.

    Args:
        ids: (H, W) integers of any size, such as a 16-bit mask or VOC's SegmentationObject.
        labels: (H, W) labels of the same size, such as VOC's SegmentationClass.
        classes: which labels are objects; `classes[k]` is class k of a detector.
        void: ids that are no object: the background, and in VOC the border, (0, 255).
        least_pixels, least_side: see above.

    Raises `UserError` where the sizes differ.
    """
    found, pixels, values = boxes_of_values(ids, [v for v in np.unique(ids).tolist() if v not in void])
    if labels is None:
        return _objects(found, pixels, np.zeros(len(found), int), least_pixels, least_side)
    if labels.shape != ids.shape:
        raise UserError(f"instances and labels must be of one size; got {ids.shape} and {labels.shape}")
    numbers = _classes_of(ids, labels, values, classes)
    known = numbers >= 0
    return _objects(found[known], pixels[known], numbers[known], least_pixels, least_side)


def objects_of_cityscapes(
    ids: Array, classes: Mapping[int, int], least_pixels: int = LEAST_PIXELS, least_side: int = LEAST_SIDE
) -> Objects:
    """The objects of an `instanceIds` file of Cityscapes: 1000 times the label and a number, or the bare label of a group.

    A group (of cars that nobody parted, for instance) is a crowd, one box for each of its connected regions.

    Args:
        ids: (H, W) integers.
        classes: label -> class of the detector, such as {26: 0} for cars; other labels are no objects.
        least_pixels, least_side: see above.
    """
    present = np.unique(ids).tolist()
    found, pixels, values = boxes_of_values(ids, [v for v in present if v >= 1000 and v // 1000 in classes])
    single = _objects(found, pixels, np.array([classes[v // 1000] for v in values], int), least_pixels, least_side)
    labels = [label for label in classes if label in present]
    groups = objects_of_regions(ids, labels, least_pixels, least_side)
    numbers = torch.tensor([classes[label] for label in labels], dtype=torch.int64)[groups.classes]
    return Objects(
        torch.cat([single.boxes, groups.boxes]),
        torch.cat([single.classes, numbers]),
        torch.cat([single.difficult, torch.zeros_like(groups.difficult)]),
        torch.cat([single.crowd, torch.ones_like(groups.crowd)]),
    )


def boxes_of_values(mask: Array, values: Sequence[int] | Array) -> Found:
    """The box, and the number of pixels, of each of some values of a mask (H, W), which must be in it."""
    known = np.asarray(values, np.int64)
    index = np.searchsorted(known, mask.reshape(-1)) if len(known) else np.zeros(mask.size, np.int64)
    index = np.where(np.isin(mask.reshape(-1), known), index + 1, 0).reshape(mask.shape)
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(index, max_label=len(known))]
    return np.array(boxes, np.float32).reshape(-1, 4), np.bincount(index.ravel(), minlength=len(known) + 1)[1:], known


def _classes_of(ids: Array, labels: Array, values: Array, classes: Sequence[int]) -> Array:
    """(N,) the class of each id, by most of its pixels; -1 for a label that is no class, and where all are ignored."""
    numbers = np.full(len(values), -1)
    for n, (value, box) in enumerate(zip(values, boxes_of_values(ids, values)[0].astype(int), strict=True)):
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        own = labels[part][ids[part] == value]
        own = own[own != IGNORE]
        label = int(np.bincount(own).argmax()) if own.size else IGNORE
        numbers[n] = classes.index(label) if label in classes else -1
    return numbers


def _objects(boxes: Array, pixels: Array, classes: Array, least_pixels: int, least_side: int) -> Objects:
    small = (pixels < least_pixels) | (np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) < least_side)
    return Objects.of(torch.from_numpy(boxes), torch.from_numpy(np.asarray(classes)), difficult=torch.from_numpy(small))
