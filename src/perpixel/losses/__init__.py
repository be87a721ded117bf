"""Losses. Each takes logits (B, K, H, W), target (B, H, W) and maybe pixel_weights (B, H, W), and gives a scalar.

`Presence` alone is on scores of whole images, (B, K).
"""

from perpixel.losses.border import border_weights
from perpixel.losses.combine import LOSSES, WeightedSum, build_loss
from perpixel.losses.cross_entropy import CrossEntropy
from perpixel.losses.dice import Dice
from perpixel.losses.lovasz import Lovasz
from perpixel.losses.ohem import OhemCrossEntropy
from perpixel.losses.presence import Presence, class_presence
from perpixel.losses.weights import WEIGHT_RULES, class_weights

__all__ = [
    "LOSSES",
    "WEIGHT_RULES",
    "CrossEntropy",
    "Dice",
    "Lovasz",
    "OhemCrossEntropy",
    "Presence",
    "WeightedSum",
    "border_weights",
    "build_loss",
    "class_presence",
    "class_weights",
]
