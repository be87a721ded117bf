"""From the masks of objects and the labels of stuff to one panoptic map.

Kirillov, Girshick, He, Dollár, "Panoptic Feature Pyramid Networks", CVPR 2019, arXiv:1901.02446, section 3; Kirillov et
al., "Panoptic Segmentation", CVPR 2019, arXiv:1801.00868, section 4; thresholds as panopticapi's
combine_semantic_and_instance_predictions.py.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.metrics import Segments


def join(
    masks: NDArray[np.bool_],
    scores: Sequence[float],
    classes: Sequence[int],
    labels: Array,
    stuff: Collection[int],
    least_score: float = 0.5,
    most_covered: float = 0.5,
    least_stuff: int = 64 * 64,
) -> Segments:
    """One segment for each object that is seen, and one for each class of stuff in what is left.

    The best object comes first. One of which the better ones cover more than a share is dropped, whole; else it gets what
    they leave. Of stuff a class gets what no object has, if these are pixels enough; the rest is void.

    Args:
        masks: (N, H, W) bool, of the objects.
        scores: (N,); objects below `least_score` are dropped first.
        classes: (N,), those of the objects.
        labels: (H, W) integers, what the pixels are if no object is there; those not in `stuff` are void.
        stuff: which labels are stuff.
        most_covered: a share.
        least_stuff: pixels.

    Ids are 1, 2, ... in that order, stuff by class. Raises `UserError` for lengths or sizes that do not fit.

    >>> masks = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]], [[1, 1, 0, 0]]], bool)
    >>> joined = join(masks, [0.9, 0.8, 0.7], [0, 0, 1], np.array([[5, 5, 5, 5]]), stuff=[5], least_stuff=1)
    >>> joined.ids.tolist(), dict(joined.classes)
    ([[1, 1, 2, 3]], {1: 0, 2: 0, 3: 5})
    """
    if masks.shape[1:] != labels.shape or not len(masks) == len(scores) == len(classes):
        raise UserError(
            f"expected masks (N, H, W), N scores and classes, and labels (H, W); got {masks.shape}, {len(scores)}, "
            f"{len(classes)} and {labels.shape}"
        )
    ids = np.zeros(labels.shape, np.int64)
    known: dict[int, int] = {}
    for n in np.argsort(-np.asarray(scores, float), kind="stable").tolist():
        area, free = int(masks[n].sum()), masks[n] & (ids == 0)
        if scores[n] < least_score or not area or not free.any() or 1 - free.sum() / area > most_covered:
            continue
        known[len(known) + 1] = int(classes[n])
        ids[free] = len(known)
    for label in sorted(stuff):
        here = (labels == label) & (ids == 0)
        if here.sum() >= max(1, least_stuff):
            known[len(known) + 1] = label
            ids[here] = len(known)
    return Segments(ids, known)
