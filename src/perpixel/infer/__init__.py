"""From a bundle on disk to predictions and figures."""

from perpixel.infer.evaluate import Evaluated, evaluate
from perpixel.infer.prediction import Prediction
from perpixel.infer.predictor import Predictor, load

__all__ = ["Evaluated", "Prediction", "Predictor", "evaluate", "load"]
