"""How good a segmentation is: one stated definition for each figure, accumulated over the whole set."""

from perpixel.metrics.bootstrap import Interval, draws, interval
from perpixel.metrics.boundary import BoundaryF1, BoundaryIoU, TrimapIoU
from perpixel.metrics.calibration import CalibrationError
from perpixel.metrics.ceiling import LabelCeiling
from perpixel.metrics.components import components
from perpixel.metrics.confusion import ConfusionMatrix
from perpixel.metrics.conventions import CONVENTIONS, ImageSums, conventions
from perpixel.metrics.cooccurrence import CoOccurrence
from perpixel.metrics.error_counts import KINDS, ErrorCounts
from perpixel.metrics.evaluation import METRICS, Evaluation, image_mean_iou
from perpixel.metrics.membranes import MembraneScores, membrane_scores, rand_error, warping_error
from perpixel.metrics.panoptic import PanopticQuality, Segments
from perpixel.metrics.regions import ImageErrors, image_errors
from perpixel.metrics.uncertainty import ClassReliability, RiskCoverage

__all__ = [
    "CONVENTIONS",
    "KINDS",
    "METRICS",
    "BoundaryF1",
    "BoundaryIoU",
    "CalibrationError",
    "ClassReliability",
    "CoOccurrence",
    "ConfusionMatrix",
    "ErrorCounts",
    "Evaluation",
    "ImageErrors",
    "ImageSums",
    "Interval",
    "LabelCeiling",
    "MembraneScores",
    "PanopticQuality",
    "RiskCoverage",
    "Segments",
    "TrimapIoU",
    "components",
    "conventions",
    "draws",
    "image_errors",
    "image_mean_iou",
    "interval",
    "membrane_scores",
    "rand_error",
    "warping_error",
]
