"""What to do about a class that is never predicted because the loss hardly listens to it."""

import numpy as np

from perpixel.core.image import Array
from perpixel.data.statistics import ClassCounts
from perpixel.losses.weights import WEIGHT_RULES, class_weights
from perpixel.train.shares import ClassShares

UNHEARD = 0.1
"""A class that gets less than this part of an equal share of the gradient is hardly listened to."""


def advice(label: int, shares: ClassShares, counts: ClassCounts, rule: str) -> str:
    """A line for a class that is never predicted, or nothing where it gets a share of the gradient, or that is unknown.

    Args:
        label: of the class.
        shares: of the steps before the last row of the history.
        counts: of the training set.
        rule: the class weights that the recipe takes.
    """
    name, k = shares.names[label], len(shares.names)
    share = shares.last.get(f"gradient_{name}")
    if share is None or share >= UNHEARD / k:
        return ""
    now = relative_weight(shares.weights.tolist(), label, counts)
    best = max(WEIGHT_RULES, key=lambda r: relative_weight(_by(r, counts), label, counts))
    there = relative_weight(_by(best, counts), label, counts)
    heard = f"{name} gets {share:.2%} of the gradient and has {counts.pixels[label] / max(counts.labelled, 1):.2%} of the pixels"
    if there > 1.1 * now:
        return f"{heard}; loss.class_weights={best} would weigh it {there:.1f} times the mean pixel (now {now:.1f}, {rule})"
    return f"{heard}, already at {now:.1f} times the mean pixel's weight; crop more often where it is: data.max_class_share=0.5"


def relative_weight(weights: list[float], label: int, counts: ClassCounts) -> float:
    """A class's weight over the mean weight of all labelled pixels."""
    pixels: Array = counts.pixels
    mean = float((pixels * np.array(weights)).sum()) / max(float(pixels.sum()), 1.0)
    return weights[label] / mean if mean else 0.0


def _by(rule: str, counts: ClassCounts) -> list[float]:
    weights: list[float] = class_weights(rule, counts.pixels, counts.image_pixels).tolist()
    return weights
