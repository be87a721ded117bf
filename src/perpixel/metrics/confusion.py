"""The confusion matrix and the figures that follow from it, by the rules of cityscapesScripts.

    truth (H, W) ─┐  pairs of labels, counted run by run    counts (K, K): rows truth, columns prediction
                  ├───────────────────────────────────────► missed (K,): "ignore" predicted on a valid pixel
    prediction  ──┘

One matrix is accumulated over the whole data set; the mean over classes is taken once, at the end.
"""

from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.metrics.pair_counts import Ints, as_bytes, count_pairs, fits_byte, where

if TYPE_CHECKING:
    import torch

LabelMap: TypeAlias = "NDArray[Any] | torch.Tensor"
Floats = NDArray[np.float64]


class ConfusionMatrix:
    """Counts of (true class, predicted class) over any number of label maps, and the figures they give.

    A pixel whose truth is `ignore_index` counts for nothing, whatever was predicted there. A prediction of
    `ignore_index` on a valid pixel is a miss: a false negative of the true class and a false positive of no class.
    Figures are fractions in [0, 1]; NaN where undefined (a class that never occurs, nothing counted at all).

    Args:
        num_classes: K; labels are in [0, K).
        ignore_index: the label that is not a class; any integer outside [0, K).

    Raises:
        UserError: `num_classes` below 1, or `ignore_index` is one of the classes.

    Source: evalPixelLevelSemanticLabeling.py of cityscapesScripts, for the rules; Long, Shelhamer, Darrell,
    "Fully convolutional networks for semantic segmentation", section 5, for the figures.

    >>> matrix = ConfusionMatrix(3)
    >>> matrix.update(prediction=np.array([[0, 1, 1, 0]]), target=np.array([[0, 0, 1, 255]]))
    >>> matrix.iou
    array([0.5, 0.5, nan])
    >>> f"{matrix.mean_iou:.2f} over {matrix.num_present} of {matrix.num_classes} classes"
    '0.50 over 2 of 3 classes'
    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE) -> None:
        if num_classes < 1:
            raise UserError(f"Expected at least 1 class, got num_classes={num_classes}.")
        if 0 <= ignore_index < num_classes:
            raise UserError(
                f"Expected an ignore_index outside the classes [0, {num_classes}), got {ignore_index}: "
                "choose another one, such as -1, and remap the labels."
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: Ints = np.zeros((num_classes, num_classes), np.int64)
        self.missed: Ints = np.zeros(num_classes, np.int64)

    def update(self, prediction: LabelMap, target: LabelMap) -> None:
        """Add the pixels of one label map, or of a batch of them.

        Args:
            prediction: any shape, such as (H, W) or (B, H, W); any integer dtype or bool; numpy or torch, any device.
            target: the same shape; labels in [0, K) or `ignore_index`.

        Raises:
            UserError: shapes differ, a dtype is not integer, or a label is out of range. Nothing is counted then.
        """
        predicted, truth = label_pair(prediction, target)
        narrow = self.num_classes < 256 and 0 <= self.ignore_index < 256 and fits_byte(truth) and fits_byte(predicted)
        counts, missed = self._count_bytes(truth, predicted) if narrow else self._count_wide(truth, predicted)
        self.counts += counts
        self.missed += missed

    def _count_bytes(self, truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[Ints, Ints]:
        K, joint = self.num_classes, count_pairs(as_bytes(truth), as_bytes(predicted))
        joint[self.ignore_index] = 0
        t, p = np.divmod(where(joint.reshape(-1) > 0), 256)
        self._check(t[t >= K], "target")
        self._check(p[(p >= K) & (p != self.ignore_index)], "prediction")
        return joint[:K, :K], joint[:K, self.ignore_index]

    def _count_wide(self, truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[Ints, Ints]:
        K = self.num_classes
        valid = truth != self.ignore_index
        truth, predicted = truth[valid], predicted[valid]
        self._check(truth[(truth < 0) | (truth >= K)], "target")
        known = predicted != self.ignore_index
        missed = np.bincount(truth[~known].astype(np.int64), minlength=K)
        truth, predicted = truth[known], predicted[known]
        self._check(predicted[(predicted < 0) | (predicted >= K)], "prediction")
        codes = truth.astype(np.int64) * K + predicted.astype(np.int64)
        return np.bincount(codes, minlength=K * K).reshape(K, K), missed

    def _check(self, out_of_range: NDArray[Any], what: str) -> None:
        if out_of_range.size:
            raise UserError(
                f"Expected labels in [0, {self.num_classes}) or {self.ignore_index} (ignore) in the {what}, "
                f"got {int(out_of_range.flat[0])}: check num_classes and the mask values that map to classes."
            )

    def merge(self, other: "ConfusionMatrix") -> Self:
        """Add another matrix's pixels to this one, in place, and return this one.

        Raises:
            UserError: the other has other classes or another ignored label.
        """
        mine, theirs = (self.num_classes, self.ignore_index), (other.num_classes, other.ignore_index)
        if mine != theirs:
            raise UserError(f"Expected a matrix with (num_classes, ignore_index) = {mine} to merge, got {theirs}.")
        self.counts += other.counts
        self.missed += other.missed
        return self

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes: plain ints and lists, ready for JSON."""
        return {
            "num_classes": self.num_classes,
            "ignore_index": self.ignore_index,
            "counts": self.counts.tolist(),
            "missed": self.missed.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The matrix that `to_dict` described."""
        matrix = cls(values["num_classes"], values["ignore_index"])
        matrix.counts += np.array(values["counts"], np.int64)
        matrix.missed += np.array(values["missed"], np.int64)
        return matrix

    @property
    def truth_pixels(self) -> Ints:
        """(K,) pixels of each class in the truth; those that were missed belong to it."""
        return self.counts.sum(axis=1) + self.missed

    @property
    def predicted_pixels(self) -> Ints:
        """(K,) valid pixels predicted as each class."""
        return self.counts.sum(axis=0)

    @property
    def pixel_accuracy(self) -> float:
        """Correct pixels / valid pixels; NaN when there is none."""
        return float(divide(np.trace(self.counts), self.truth_pixels.sum()))

    @property
    def class_accuracy(self) -> Floats:
        """(K,) correct pixels / true pixels of each class (its recall); NaN for a class that is not in the truth."""
        return divide(np.diag(self.counts), self.truth_pixels)

    @property
    def mean_class_accuracy(self) -> float:
        """Mean of `class_accuracy` over the classes in the truth; NaN when there is none."""
        return mean_of_known(self.class_accuracy)

    @property
    def iou(self) -> Floats:
        """(K,) TP / (TP + FP + FN); NaN for a class with no pixel in either, 0 for one only falsely predicted."""
        correct = np.diag(self.counts)
        return divide(correct, self.truth_pixels + self.predicted_pixels - correct)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the `num_present` classes that have one; NaN when there is none."""
        return mean_of_known(self.iou)

    @property
    def num_present(self) -> int:
        """The n of "over n of K classes": classes with a pixel in the truth or in the prediction."""
        return int(np.count_nonzero(~np.isnan(self.iou)))

    @property
    def frequency_weighted_iou(self) -> float:
        """Sum of `iou` weighted by each class's share of the true pixels; NaN when there is none."""
        return float(divide((self.truth_pixels * np.nan_to_num(self.iou)).sum(), self.truth_pixels.sum()))


def label_pair(prediction: LabelMap, target: LabelMap) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both label maps as numpy integer arrays of one shape; bool becomes uint8.

    Raises:
        UserError: the shapes differ or a dtype is not integer.
    """
    predicted, truth = _as_array(prediction, "prediction"), _as_array(target, "target")
    if predicted.shape != truth.shape:
        raise UserError(
            f"Expected a prediction of the target's size {truth.shape}, got {predicted.shape}: "
            "resize the prediction to the target (nearest for labels), never the target."
        )
    return predicted, truth


def _as_array(labels: Any, what: str) -> NDArray[Any]:
    array = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise UserError(f"Expected integer labels as {what}, got {array.dtype}: take the argmax of scores first.")
    return array


def divide(numerator: Any, denominator: Any) -> Any:
    """Element by element; NaN, without a warning, where the denominator is 0."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)


def mean_of_known(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
