"""How good a segmentation is: one stated definition for each figure, accumulated over the whole set."""

from perpixel.metrics.boundary import BoundaryF1, BoundaryIoU, TrimapIoU
from perpixel.metrics.calibration import CalibrationError
from perpixel.metrics.confusion import ConfusionMatrix
from perpixel.metrics.evaluation import METRICS, Evaluation, image_mean_iou
from perpixel.metrics.membranes import MembraneScores, membrane_scores, rand_error, warping_error

__all__ = [
    "METRICS",
    "BoundaryF1",
    "BoundaryIoU",
    "CalibrationError",
    "ConfusionMatrix",
    "Evaluation",
    "MembraneScores",
    "TrimapIoU",
    "image_mean_iou",
    "membrane_scores",
    "rand_error",
    "warping_error",
]
