"""What a class counts for, by its frequency in the training set, and what each pixel counts for."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from perpixel.core.errors import UserError, nearest

WEIGHT_RULES: dict[str, str] = {
    "none": "w_c = 1",
    "median_frequency": "w_c = median(f) / f_c, f_c = pixels of c / valid pixels of the images that contain c",
    "enet": "w_c = 1 / ln(c + p_c), c = 1.02 unless given, p_c = pixels of c / valid pixels",
    "inverse_sqrt": "w_c = 1 / sqrt(p_c), scaled so that sum(p_c w_c) = 1, p_c = pixels of c / valid pixels",
}
"""Each rule's formula, to print beside the weights."""


def class_weights(rule: str | Sequence[float], pixels: ArrayLike, image_pixels: ArrayLike, c: float = 1.02) -> Tensor:
    """The weight of each class, float32 (K,), by one of `WEIGHT_RULES` or as given.

    Args:
        rule: a name in `WEIGHT_RULES`, or K finite weights >= 0 that are taken as they are.
        pixels: (K,) integers, the pixels of each class over the training set, ignored pixels left out.
        image_pixels: (K,) integers, the valid pixels of all images that contain the class (any value where none does).
        c: the constant of "enet", above 1; 1.02 in ENet's paper, 1.2 in its encoder's
            script; ERFNet's scripts have 1.2 for the encoder and 1.10 for the decoder.

    A class with no pixel weighs 1 by every rule, and has no part in the median or the scale: it occurs in no
    target, so its weight must only be finite.

    Source: "median_frequency" Eigen & Fergus 2015, as in SegNet (Badrinarayanan et al. 2017, section 4.1);
    "enet" Paszke et al. 2016, section 5.

    Raises:
        UserError: for an unknown rule, a c that is not above 1, or a list that is not K finite weights >= 0.

    >>> class_weights("median_frequency", [10, 20, 70], [100, 100, 100]).tolist()[:2]
    [2.0, 1.0]
    """
    counts = np.asarray(pixels, dtype=np.float64)
    if not isinstance(rule, str):
        return _given(rule, len(counts))
    if rule not in WEIGHT_RULES:
        raise UserError(
            f'no class weight rule "{rule}": use one of {", ".join(WEIGHT_RULES)} or a list of weights.'
            + nearest(rule, WEIGHT_RULES)
        )
    if not c > 1:
        raise UserError(f"the constant of the class weight rule enet must be above 1 (1.02 in its paper); got {c}.")
    weights = np.ones_like(counts)
    present = counts > 0
    if present.any():
        weights[present] = _by_rule(rule, counts[present], np.asarray(image_pixels, np.float64)[present], c)
    return torch.from_numpy(weights).float()


def _by_rule(rule: str, pixels: np.ndarray, image_pixels: np.ndarray, c: float) -> np.ndarray:
    share = pixels / pixels.sum()
    if rule == "median_frequency":
        frequency = pixels / image_pixels
        return np.median(frequency) / frequency
    if rule == "enet":
        return 1 / np.log(c + share)
    if rule == "inverse_sqrt":
        return 1 / np.sqrt(share) / np.sqrt(share).sum()
    return np.ones_like(pixels)


def _given(weights: Sequence[float], num_classes: int) -> Tensor:
    given = torch.as_tensor(weights, dtype=torch.float32)
    if given.shape != (num_classes,) or not bool((given.isfinite() & (given >= 0)).all()):
        raise UserError(f"class weights must be {num_classes} finite numbers >= 0, one a class; got {list(weights)}.")
    return given


def weigh(
    logits: Tensor, target: Tensor, class_weights: Tensor | None, pixel_weights: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What every loss starts from: its inputs checked, in float32, with the weight of each pixel.

    Args:
        logits: (B, K, H, W) float; float64 stays, anything else becomes float32.
        target: (B, H, W) integers in [0, K) or `ignore_index`.
        class_weights: (K,) or None. pixel_weights: (B, H, W) or None.

    Returns:
        logits, target as int64 with 0 where it is ignored, valid (B, H, W) bool, and weights (B, H, W): class weight
        times pixel weight, exactly 0 where the target is ignored.

    Raises:
        ValueError: when the shapes do not go together.
    """
    if logits.ndim != 4 or target.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            f"expected logits (B, K, H, W) and target (B, H, W), got {tuple(logits.shape)} and {tuple(target.shape)}"
        )
    if pixel_weights is not None and pixel_weights.shape != target.shape:
        raise ValueError(f"expected pixel_weights {tuple(target.shape)}, got {tuple(pixel_weights.shape)}")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    valid = target != ignore_index
    labels = target.long().masked_fill(~valid, 0)
    weights = valid.to(logits.dtype) if class_weights is None else class_weights.to(logits)[labels] * valid
    if pixel_weights is not None:
        # where, not a product: an unset (NaN) weight under an ignored pixel must not matter
        weights = weights * torch.where(valid, pixel_weights.to(logits), 0.0)
    return logits, labels, valid, weights
