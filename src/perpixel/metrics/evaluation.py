"""One streaming pass over a data set that computes every figure asked for, with the convention beside the numbers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.core.errors import UserError, nearest
from perpixel.metrics.boundary import BoundaryF1, BoundaryIoU, TrimapIoU
from perpixel.metrics.calibration import CalibrationError
from perpixel.metrics.confusion import ConfusionMatrix, LabelMap, mean_of_known

if TYPE_CHECKING:
    import torch

METRICS = ("confusion", "boundary_f1", "boundary_iou", "trimap", "calibration")

Part = ConfusionMatrix | BoundaryF1 | BoundaryIoU | TrimapIoU | CalibrationError


class Evaluation:
    """The metrics asked for, over any number of images; the state is small however many there are.

    The confusion matrix is always kept, for the figures that a report prints need it.

    Args:
        num_classes: K.
        metrics: any of `METRICS`.
        ignore_index: the label that is not a class, outside [0, K).
        trimap_width: pixels, see `TrimapIoU`.
        num_bins: see `CalibrationError`.

    Raises:
        UserError: an unknown metric, with the nearest known one.

    >>> evaluation = Evaluation(3, metrics=("confusion",))
    >>> evaluation.update(prediction=np.array([[0, 1]]), target=np.array([[0, 0]]))
    >>> evaluation.results()["convention"]
    "dataset-level mIoU as cityscapesScripts averages it, at the target's own size, over 2 of 3 classes"
    """

    def __init__(
        self,
        num_classes: int,
        metrics: Sequence[str] = METRICS,
        ignore_index: int = IGNORE,
        trimap_width: int = 5,
        num_bins: int = 15,
    ) -> None:
        for name in metrics:
            if name not in METRICS:
                raise UserError(f"Expected metrics among {', '.join(METRICS)}, got {name!r}.{nearest(name, METRICS)}")
        self.images = 0
        self.confusion = ConfusionMatrix(num_classes, ignore_index)
        self.boundary_f1 = BoundaryF1(num_classes, ignore_index) if "boundary_f1" in metrics else None
        self.boundary_iou = BoundaryIoU(num_classes, ignore_index) if "boundary_iou" in metrics else None
        self.trimap = TrimapIoU(num_classes, trimap_width, ignore_index) if "trimap" in metrics else None
        self.calibration = CalibrationError(num_bins, ignore_index) if "calibration" in metrics else None

    def update(
        self,
        prediction: LabelMap,
        target: LabelMap,
        probabilities: "NDArray[Any] | torch.Tensor | None" = None,
    ) -> None:
        """Add an image or a batch.

        Args:
            prediction: (H, W) or (B, H, W) labels at the target's size; numpy or torch.
            target: labels of the same shape.
            probabilities: (K, H, W) or (B, K, H, W) float; without them an image adds nothing to the calibration.

        Raises:
            UserError: sizes differ or a value is out of range.
        """
        if self.calibration is not None and probabilities is not None:
            self._check_channels(probabilities)
            self.calibration.update(probabilities, target)
        self.confusion.update(prediction, target)
        for part in (self.boundary_f1, self.boundary_iou, self.trimap):
            if part is not None:
                part.update(prediction, target)
        self.images += target.shape[0] if target.ndim == 3 else 1

    def _check_channels(self, probabilities: Any) -> None:
        K = self.confusion.num_classes
        if probabilities.ndim not in (3, 4) or probabilities.shape[-3] != K:
            raise UserError(f"Expected probabilities of {K} classes, (K, H, W), got {tuple(probabilities.shape)}.")

    def merge(self, other: "Evaluation") -> Self:
        """Add what another one has seen, in place, and return this one. Raises: UserError where the options differ."""
        mine, theirs = self._parts(), other._parts()
        if list(mine) != list(theirs):
            raise UserError(f"Expected the metrics {', '.join(mine)} to merge, got {', '.join(theirs)}.")
        for name, part in mine.items():
            part.merge(theirs[name])  # type: ignore[arg-type]  # one name, one type
        self.images += other.images
        return self

    def _parts(self) -> dict[str, Part]:
        parts: dict[str, Part | None] = {name: getattr(self, name) for name in METRICS}
        return {name: part for name, part in parts.items() if part is not None}

    def results(self) -> dict[str, Any]:
        """Every figure, ready for JSON: plain numbers and lists, None for what is undefined or was not measured.

        Keys: `convention`, `images`, `pixels` (valid), `num_classes`, `num_present`, `pixel_accuracy`,
        `mean_class_accuracy`, `mean_iou`, `frequency_weighted_iou`, and per class `iou` and `class_accuracy`; then,
        where asked for, `boundary_f1`, `boundary_iou`, `trimap` (each `mean`, `per_class` and its options) and
        `calibration` (`error`, `pixels`, `table`).
        """
        figures: dict[str, Any] = {"convention": self.convention, "images": self.images, **self._overlap()}
        if self.boundary_f1 is not None:
            figures["boundary_f1"] = {**_summary(self.boundary_f1), "tolerance": self.boundary_f1.tolerance}
        if self.boundary_iou is not None:
            figures["boundary_iou"] = {**_summary(self.boundary_iou), "ratio": self.boundary_iou.ratio}
        if self.trimap is not None:
            figures["trimap"] = {**_summary(self.trimap), "width": self.trimap.width}
        if self.calibration is not None:
            pixels, table = int(self.calibration.count.sum()), self.calibration.table()
            figures["calibration"] = {"error": self.calibration.error, "pixels": pixels, "table": table}
        return {key: _plain(value) for key, value in figures.items()}

    def _overlap(self) -> dict[str, Any]:
        matrix = self.confusion
        return {
            "pixels": int(matrix.truth_pixels.sum()),
            "num_classes": matrix.num_classes,
            "num_present": matrix.num_present,
            "pixel_accuracy": matrix.pixel_accuracy,
            "mean_class_accuracy": matrix.mean_class_accuracy,
            "mean_iou": matrix.mean_iou,
            "frequency_weighted_iou": matrix.frequency_weighted_iou,
            "iou": matrix.iou.tolist(),
            "class_accuracy": matrix.class_accuracy.tolist(),
        }

    @property
    def convention(self) -> str:
        """What `mean_iou` means, in one line to print beside it."""
        matrix = self.confusion
        return (
            "dataset-level mIoU as cityscapesScripts averages it, at the target's own size, "
            f"over {matrix.num_present} of {matrix.num_classes} classes"
        )


def image_mean_iou(prediction: LabelMap, target: LabelMap, num_classes: int, ignore_index: int = IGNORE) -> float:
    """Mean IoU of one image over the classes in its own truth: to rank images, never to be called mIoU.

    A class that is only falsely predicted has no term of its own; its pixels still lower the classes they were taken
    from. NaN for an image that is ignored as a whole.

    >>> image_mean_iou(np.array([[0, 0, 2, 1]]), np.array([[0, 0, 0, 1]]), num_classes=3)
    0.8333333333333333
    """
    matrix = ConfusionMatrix(num_classes, ignore_index)
    matrix.update(prediction, target)
    return mean_of_known(np.where(matrix.truth_pixels > 0, matrix.iou, np.nan))


def _summary(part: BoundaryF1 | BoundaryIoU | TrimapIoU) -> dict[str, Any]:
    return {"mean": part.mean, "per_class": part.per_class.tolist()}


def _plain(value: Any) -> Any:
    """JSON has no NaN: None stands for it."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
