"""How good a segmentation is: one stated definition for each figure, accumulated over the whole set."""

from perpixel.metrics.confusion import ConfusionMatrix

__all__ = ["ConfusionMatrix"]
