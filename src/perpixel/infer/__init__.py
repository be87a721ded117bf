"""From a bundle on disk to predictions and figures."""

from perpixel.infer.bundle import BundleInfo, find_bundle, load_bundle, read_info, save_bundle
from perpixel.infer.evaluate import Evaluated, evaluate
from perpixel.infer.predictor import Prediction, Predictor, load
from perpixel.infer.preprocessing import Preprocessing

__all__ = [
    "BundleInfo",
    "Evaluated",
    "Prediction",
    "Predictor",
    "Preprocessing",
    "evaluate",
    "find_bundle",
    "load",
    "load_bundle",
    "read_info",
    "save_bundle",
]
