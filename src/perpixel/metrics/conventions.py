"""What a figure called mIoU means in nine tools, all from the same counts; docs/miou.md has an example by hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from perpixel.metrics.confusion import ConfusionMatrix, Floats, Ints, divide

OURS = "perpixel, cityscapesScripts"


@dataclass(frozen=True)
class ImageSums:
    """(N, K) pixels of each image and class: correct, in the truth, predicted on valid pixels."""

    correct: Ints
    truth: Ints
    predicted: Ints

    @classmethod
    def of(cls, matrices: Iterable[ConfusionMatrix]) -> Self:
        """The sums of one matrix an image, one or more."""
        return cls.stacked([class_sums(matrix) for matrix in matrices])

    @classmethod
    def stacked(cls, rows: Sequence[Ints]) -> Self:
        """From `class_sums` of each image, one or more."""
        correct, truth, predicted = np.stack(rows, axis=1)
        return cls(correct, truth, predicted)

    def weighted(self, weights: Ints) -> Self:
        """(R, K): the sums over all images of each of R draws, weights (R, N)."""
        return type(self)(weights @ self.correct, weights @ self.truth, weights @ self.predicted)

    @property
    def union(self) -> Ints:
        """Pixels in the truth or the prediction."""
        return self.truth + self.predicted - self.correct

    @property
    def iou(self) -> Floats:
        """IoU of each row and class; NaN for a class with no pixel in either."""
        return divide(self.correct, self.union)


def class_sums(matrix: ConfusionMatrix) -> Ints:
    """(3, K): correct, true and predicted pixels of each class; a matrix an image would be too much to keep."""
    return np.stack([np.diag(matrix.counts), matrix.truth_pixels, matrix.predicted_pixels])


def conventions(sums: ImageSums, weights: Ints | None = None) -> dict[str, Floats]:
    """The nine figures by name, each (R,): of each of R draws, or (1,) of the set itself.

    Args:
        sums: of the N images.
        weights: (R, N) how often each image counts (`bootstrap.draws`); None counts each once.
    """
    weights = np.ones((1, len(sums.truth)), np.int64) if weights is None else weights
    whole = sums.weighted(weights)
    figures = {name: figure(whole) for name, figure in WHOLE.items()}
    for name, figure in BY_IMAGE.items():
        each = figure(sums)
        scored = ~np.isnan(each)
        figures[name] = divide(weights @ np.where(scored, each, 0.0), weights @ scored)
    return {name: figures[name] for name in CONVENTIONS}


def _present(s: ImageSums) -> Floats:
    iou = s.iou
    return divide(np.nan_to_num(iou).sum(axis=-1), (~np.isnan(iou)).sum(axis=-1))


def _in_truth(s: ImageSums) -> Floats:
    there = s.truth > 0
    return divide(np.where(there, s.iou, 0.0).sum(axis=-1), there.sum(axis=-1))


def _filled(absent: float) -> Callable[[ImageSums], Floats]:
    return lambda s: np.where(s.union > 0, s.iou, absent).mean(axis=-1)


def _micro(s: ImageSums) -> Floats:
    return divide(s.correct.sum(axis=-1), s.union.sum(axis=-1))


WHOLE: Mapping[str, Callable[[ImageSums], Floats]] = {
    OURS: _present,
    "mmsegmentation, torchmetrics macro": _present,
    "VOCdevkit": _filled(float("nan")),
    "detectron2": _in_truth,
    "an epsilon at 0 / 0": _filled(0.0),
    "segmentation_models.pytorch macro": _filled(1.0),
    "micro (torchmetrics, segmentation_models.pytorch)": _micro,
}
"""From the pixels of all images together."""

BY_IMAGE: Mapping[str, Callable[[ImageSums], Floats]] = {
    "mean over images": _present,
    "segmentation_models.pytorch macro-imagewise": _filled(1.0),
}
"""From each image, then the mean over images."""

CONVENTIONS: Mapping[str, str] = {
    OURS: "classes with a pixel in truth or prediction",
    "mmsegmentation, torchmetrics macro": "the same",
    "VOCdevkit": "all classes; one that is nowhere makes it undefined",
    "detectron2": "classes in the truth",
    "an epsilon at 0 / 0": "all classes; one that is nowhere counts 0",
    "segmentation_models.pytorch macro": "all classes; one that is nowhere counts 1",
    "mean over images": "each image's classes with a pixel, then the mean over images",
    "segmentation_models.pytorch macro-imagewise": "each image's classes, one that is nowhere counts 1; then over images",
    "micro (torchmetrics, segmentation_models.pytorch)": "right pixels of all classes / sum of their unions",
}
"""Every figure and over what it is averaged, in the order of docs/miou.md."""
