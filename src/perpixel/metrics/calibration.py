"""Whether a model is as sure as it is right: expected calibration error and the table of a reliability diagram."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.metrics.confusion import Floats, Ints, divide, label_pair

if TYPE_CHECKING:
    import torch

    from perpixel.metrics.confusion import LabelMap

_TOLERANCE = 1e-2  # of a sum of probabilities: what half precision and blended tiles leave


class CalibrationError:
    """Expected calibration error over all valid pixels: the mean gap between confidence and accuracy.

    A pixel's confidence is its largest probability; bin i of `num_bins` holds the confidences in (i/n, (i+1)/n]. With
    n_i pixels, mean confidence c_i and accuracy a_i in a bin, ECE = sum_i n_i |a_i - c_i| / sum_i n_i, in [0, 1].
    Ignored pixels count for nothing. NaN when no pixel was valid.

    Args:
        num_bins: at least 1.
        ignore_index: the label that is not a class.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, section 2.

    >>> score = CalibrationError()
    >>> score.update(probabilities=np.array([[[0.9, 0.9]], [[0.1, 0.1]]]), target=np.array([[0, 1]]))
    >>> round(score.error, 6)
    0.4
    """

    def __init__(self, num_bins: int = 15, ignore_index: int = IGNORE) -> None:
        if num_bins < 1:
            raise UserError(f"Expected at least 1 bin, got num_bins={num_bins}.")
        self.num_bins = num_bins
        self.ignore_index = ignore_index
        self.count: Ints = np.zeros(num_bins, np.int64)
        self.correct: Ints = np.zeros(num_bins, np.int64)
        self.confidence_sum: Floats = np.zeros(num_bins)

    def update(self, probabilities: "NDArray[Any] | torch.Tensor", target: "LabelMap") -> None:
        """Add the valid pixels of an image or a batch.

        Args:
            probabilities: (K, H, W) or (B, K, H, W) float in [0, 1] that sum to 1 over K; numpy or torch.
            target: (H, W) or (B, H, W) labels in [0, K) or `ignore_index`.

        Raises:
            UserError: not probabilities (scores before the softmax), sizes differ, or a label is out of range.
        """
        scores = _probabilities(probabilities)
        labels, truth = label_pair(scores.argmax(axis=-3), target)
        valid = truth != self.ignore_index
        self._check(truth[valid], scores.shape[-3])
        confidence = scores.max(axis=-3)[valid].astype(np.float64)
        bins = np.clip(np.ceil(confidence * self.num_bins).astype(np.int64) - 1, 0, self.num_bins - 1)
        self.count += np.bincount(bins, minlength=self.num_bins)
        self.correct += np.bincount(bins[labels[valid] == truth[valid]], minlength=self.num_bins)
        self.confidence_sum += np.bincount(bins, confidence, self.num_bins)

    def _check(self, truth: NDArray[Any], num_classes: int) -> None:
        wrong = truth[(truth < 0) | (truth >= num_classes)]
        if wrong.size:
            raise UserError(
                f"Expected target labels in [0, {num_classes}) or {self.ignore_index} (ignore), got {int(wrong[0])}: "
                "check that the probabilities have one channel a class."
            )

    def merge(self, other: "CalibrationError") -> Self:
        """Add what another one has seen, in place, and return this one. Raises: UserError where the options differ."""
        mine, theirs = (self.num_bins, self.ignore_index), (other.num_bins, other.ignore_index)
        if mine != theirs:
            raise UserError(f"Expected (num_bins, ignore_index) = {mine} to merge, got {theirs}.")
        self.count += other.count
        self.correct += other.correct
        self.confidence_sum += other.confidence_sum
        return self

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]."""
        gaps = np.abs(self.correct - self.confidence_sum).sum()
        return float(gaps / self.count.sum()) if self.count.any() else math.nan

    def table(self) -> dict[str, list[Any]]:
        """A reliability diagram's columns, one entry a bin: `lower`, `upper`, `count`, `confidence`, `accuracy`.

        Confidence and accuracy are means over the bin's pixels, NaN for an empty bin.
        """
        edges = np.arange(self.num_bins + 1) / self.num_bins
        return {
            "lower": edges[:-1].tolist(),
            "upper": edges[1:].tolist(),
            "count": self.count.tolist(),
            "confidence": divide(self.confidence_sum, self.count).tolist(),
            "accuracy": divide(self.correct, self.count).tolist(),
        }


def _probabilities(values: Any) -> NDArray[Any]:
    """(..., K, H, W) floats that are probabilities, or an error; bfloat16 becomes float32, which numpy has."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() and values.element_size() < 4 else values
    scores = np.asarray(values)
    if scores.ndim not in (3, 4) or scores.dtype.kind != "f":
        raise UserError(f"Expected (K, H, W) or (B, K, H, W) float probabilities, got {scores.dtype} {scores.shape}.")
    sums = scores.sum(axis=-3, dtype=np.float32)
    if not (np.all(scores >= -_TOLERANCE) and np.all(np.abs(sums - 1) <= _TOLERANCE)):
        raise UserError("Expected probabilities in [0, 1] that sum to 1 over the classes: take the softmax first.")
    return scores
