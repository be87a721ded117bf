"""How good the borders are: boundary F1, boundary IoU and the IoU of a band around the true boundaries.

A *boundary pixel* has an edge neighbour (of 4) with another label. Pixels whose truth is ignored take no part: they
are no boundary pixels, whatever was predicted there, and no pixel becomes one because of an ignored neighbour.
Every update also checks its labels and sizes as `ConfusionMatrix` does, with the same errors.
"""

import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.metrics.confusion import ConfusionMatrix, Floats, Ints, LabelMap, divide, label_pair, mean_of_known

Flags = NDArray[np.bool_]


class BoundaryF1:
    """Mean over images of the mean over classes of F1 between true and predicted boundary pixels.

    For a class in an image, precision is the fraction of its predicted boundary pixels that lie within `tolerance`
    of a true one of the class (Euclidean distance), recall the same the other way round, F1 = 2PR / (P + R). A class
    counts in an image if it has a valid pixel in the truth or in the prediction; in only one of them its F1 is 0. A
    class in both, with a boundary pixel in neither (it fills the image), has nothing to score and is left out.
    The image's own edge is no boundary. NaN before anything was scored.

    Differs from the released SegNet code, which pairs boundary pixels one to one: this is the distance version that
    the definition in words gives, so several predicted pixels may be excused by one true pixel.

    Args:
        num_classes: K.
        ignore_index: as in `ConfusionMatrix`.
        tolerance: as a fraction of the image's diagonal.

    Source: Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013.

    >>> score = BoundaryF1(2)
    >>> score.update(prediction=np.array([[0, 0, 1, 1]]), target=np.array([[0, 0, 1, 1]]))
    >>> score.mean
    1.0
    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE, tolerance: float = 0.0075) -> None:
        self._labels = ConfusionMatrix(num_classes, ignore_index)
        self.tolerance = tolerance
        self.class_sums: Floats = np.zeros(num_classes)
        self.class_images: Ints = np.zeros(num_classes, np.int64)
        self.image_sum = 0.0
        self.images = 0

    def update(self, prediction: LabelMap, target: LabelMap) -> None:
        """Score the images of (H, W) or (B, H, W) labels; each image weighs the same. Raises: UserError."""
        for predicted, truth in _images(self._labels, prediction, target):
            scores = self._image_scores(predicted, truth)
            scored = ~np.isnan(scores)
            self.class_sums[scored] += scores[scored]
            self.class_images += scored
            if scored.any():
                self.image_sum += float(scores[scored].mean())
                self.images += 1

    def _image_scores(self, predicted: NDArray[Any], truth: NDArray[Any]) -> Floats:
        K, ignore = self._labels.num_classes, self._labels.ignore_index
        matrix = ConfusionMatrix(K, ignore)
        matrix.update(predicted, truth)
        in_one = (matrix.truth_pixels > 0) != (matrix.predicted_pixels > 0)
        real, found = (_boundary_points(labels, truth != ignore) for labels in (truth, predicted))
        reach, none = self.tolerance * math.hypot(*truth.shape), np.empty((0, 2), np.int64)
        scores = np.array([_f1(real.get(k, none), found.get(k, none), reach) for k in range(K)])
        return np.where(in_one, 0.0, scores)

    def merge(self, other: "BoundaryF1") -> Self:
        """Add what another one has seen, in place, and return this one. Raises: UserError where the options differ."""
        _same(self._options(), other._options())
        self.class_sums += other.class_sums
        self.class_images += other.class_images
        self.image_sum += other.image_sum
        self.images += other.images
        return self

    def _options(self) -> tuple[float, ...]:
        return self._labels.num_classes, self._labels.ignore_index, self.tolerance

    @property
    def per_class(self) -> Floats:
        """(K,) mean F1 of each class over the images that count it; NaN where none does."""
        return divide(self.class_sums, self.class_images)

    @property
    def mean(self) -> float:
        """Mean over images of the mean over classes, in [0, 1]."""
        return self.image_sum / self.images if self.images else math.nan


class BoundaryIoU:
    """IoU of the inner bands along the contours of true and predicted regions, accumulated over the data set.

    The band of a class is what d erosions with a 3x3 square take from its region: its pixels that have another label,
    or the outside of the image, within Chebyshev distance d = max(1, round(ratio * image diagonal)). Ignored pixels
    belong to no band and erode nothing.

    Args:
        num_classes: K.
        ignore_index: as in `ConfusionMatrix`.
        ratio: band width as a fraction of the image's diagonal; the paper takes 0.02, and 0.005 for large images
            such as those of Cityscapes.

    Source: Cheng, Girshick, Dollár, Berg, Kirillov, "Boundary IoU", CVPR 2021. There it is averaged over instances;
    here intersections and unions of a class are summed over all images first, as those of the mean IoU are.
    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE, ratio: float = 0.02) -> None:
        self._labels = ConfusionMatrix(num_classes, ignore_index)
        self.ratio = ratio
        self.intersections: Ints = np.zeros(num_classes, np.int64)
        self.unions: Ints = np.zeros(num_classes, np.int64)

    def update(self, prediction: LabelMap, target: LabelMap) -> None:
        """Add the images of (H, W) or (B, H, W) labels. Raises: UserError."""
        for predicted, truth in _images(self._labels, prediction, target):
            ignored = truth == self._labels.ignore_index
            width = max(1, round(self.ratio * math.hypot(*truth.shape)))
            real, found = _band(truth, ignored, width), _band(predicted, ignored, width)
            both = self._count(truth[real & found & (truth == predicted)])
            self.intersections += both
            self.unions += self._count(truth[real]) + self._count(predicted[found]) - both

    def _count(self, labels: NDArray[Any]) -> Ints:
        known = labels[labels != self._labels.ignore_index].astype(np.int64)
        return np.bincount(known, minlength=self._labels.num_classes)

    def merge(self, other: "BoundaryIoU") -> Self:
        """Add what another one has seen, in place, and return this one. Raises: UserError where the options differ."""
        _same(self._options(), other._options())
        self.intersections += other.intersections
        self.unions += other.unions
        return self

    def _options(self) -> tuple[float, ...]:
        return self._labels.num_classes, self._labels.ignore_index, self.ratio

    @property
    def per_class(self) -> Floats:
        """(K,) IoU of the bands of each class; NaN for a class in neither map."""
        return divide(self.intersections, self.unions)

    @property
    def mean(self) -> float:
        """Mean of `per_class` over the classes that have one; NaN when none has."""
        return mean_of_known(self.per_class)


class TrimapIoU:
    """IoU over the pixels near a true boundary alone: their confusion matrix is `matrix`, with all its figures.

    Near is a Euclidean distance of at most `width` pixels from a true boundary pixel; the pixels on both sides of a
    border are boundary pixels and have distance 0. An image of one label has no such pixel and counts for nothing.

    Args:
        num_classes: K.
        width: pixels, at least 1; the literature sweeps 1 to 40.
        ignore_index: as in `ConfusionMatrix`.

    Source: Krähenbühl and Koltun, "Efficient inference in fully connected CRFs", NIPS 2011, section 5; there the band
    is drawn around ignored regions too.
    """

    def __init__(self, num_classes: int, width: int = 5, ignore_index: int = IGNORE) -> None:
        if width < 1:
            raise UserError(f"Expected a band of at least 1 pixel, got width={width}.")
        self.matrix = ConfusionMatrix(num_classes, ignore_index)
        self.width = width

    def update(self, prediction: LabelMap, target: LabelMap) -> None:
        """Add the images of (H, W) or (B, H, W) labels. Raises: UserError."""
        ignore = self.matrix.ignore_index
        for predicted, truth in _images(self.matrix, prediction, target):
            edges = _boundary(truth, truth != ignore)
            if edges.any():
                near = ndimage.distance_transform_edt(~edges) <= self.width
                self.matrix.update(predicted[near], truth[near])

    def merge(self, other: "TrimapIoU") -> Self:
        """Add what another one has seen, in place, and return this one. Raises: UserError where the options differ."""
        _same((self.width,), (other.width,))
        self.matrix.merge(other.matrix)
        return self

    @property
    def per_class(self) -> Floats:
        """(K,) IoU of each class in the band; NaN for a class with no pixel there in either map."""
        return self.matrix.iou

    @property
    def mean(self) -> float:
        """Mean of `per_class` over the classes that have one; NaN when none has."""
        return self.matrix.mean_iou


def _images(
    labels: ConfusionMatrix, prediction: LabelMap, target: LabelMap
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Checked pairs of (H, W) maps: counting them once is the cheapest full check of every label."""
    predicted, truth = label_pair(prediction, target)
    if truth.ndim not in (2, 3):
        raise UserError(f"Expected labels of shape (H, W) or (B, H, W), got {truth.shape}.")
    ConfusionMatrix(labels.num_classes, labels.ignore_index).update(predicted, truth)
    size = truth.shape[-2:]
    pairs = zip(predicted.reshape(-1, *size), truth.reshape(-1, *size), strict=True) if truth.size else ()
    yield from pairs


def _boundary(labels: NDArray[Any], valid: Flags) -> Flags:
    """(H, W) whether a valid pixel has a valid neighbour, of 4, with another label."""
    edges = np.zeros(labels.shape, bool)
    for ahead, behind in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (labels[ahead] != labels[behind]) & valid[ahead] & valid[behind]
        edges[ahead] |= differ
        edges[behind] |= differ
    return edges


def _boundary_points(labels: NDArray[Any], valid: Flags) -> dict[int, Ints]:
    """Label -> (n, 2) positions of its boundary pixels, for every label that has one."""
    points = np.argwhere(_boundary(labels, valid))
    owners = labels[points[:, 0], points[:, 1]]
    return {int(k): points[owners == k] for k in np.unique(owners)}


def _f1(real: Ints, found: Ints, reach: float) -> float:
    if not len(real) and not len(found):
        return math.nan
    if not len(real) or not len(found):
        return 0.0
    precision, recall = _share_near(found, real, reach), _share_near(real, found, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share_near(points: Ints, others: Ints, reach: float) -> float:
    distances, _ = cKDTree(others).query(points, distance_upper_bound=reach + 1)
    return float(np.mean(distances <= reach))


def _band(labels: NDArray[Any], ignored: Flags, width: int) -> Flags:
    """(H, W) whether a pixel that is not ignored has another label, or the outside, within Chebyshev distance width.

    Another label is in the window exactly when its smallest and largest label differ: one pass does all classes.
    """
    size, lines = 2 * width + 1, np.where(ignored, labels.max(), labels)
    low = _window(ndimage.minimum_filter1d, lines, size)
    high = _window(ndimage.maximum_filter1d, np.where(ignored, labels.min(), labels), size)
    band = (low != labels) | (high != labels)
    inner = tuple(slice(width, -width) for _ in range(2))
    border = np.ones(labels.shape, bool)
    border[inner] = False
    return (band | border) & ~ignored


def _window(pass_: Any, labels: NDArray[Any], size: int) -> NDArray[Any]:
    return pass_(pass_(labels, size, axis=0, mode="nearest"), size, axis=1, mode="nearest")


def _same(mine: tuple[float, ...], theirs: tuple[float, ...]) -> None:
    if mine != theirs:
        raise UserError(f"Expected equal options to merge: {mine} here, got {theirs}.")
