"""Lovász-softmax: a surrogate of the mean Jaccard index that can be descended."""

import numpy as np
import torch
from torch import Tensor, nn

from perpixel.core import IGNORE
from perpixel.losses.weights import weigh


class Lovasz(nn.Module):
    """The Lovász extension of the Jaccard loss, averaged over the classes that are present in the target.

        m_i = 1 - p_i(c) on pixels of class c, p_i(c) elsewhere; sorted descending
        loss_c = sum(m_i * (J_i - J_{i-1})), J_i = the Jaccard loss were the first i pixels the wrong ones

    Exact: every pixel is sorted, once a class present, so it costs more than cross entropy does.

    Args:
        per_image: average each image's loss over the images with a valid pixel, rather than one loss for the batch.
        ignore_index: the label that counts for nothing.

    `pixel_weights` weigh the pixels that the Jaccard index counts: weight 2 is the pixel seen twice.
    All ignored: 0 with a zero gradient. In [0, 1].

    Source: Berman, Rannen Triki & Blaschko 2018, section 3, with classes="present" of the authors' code. Its gradient
    by sorted place is computed in closed form, as differences of J cancel in float32 on large images.
    """

    def __init__(self, per_image: bool = False, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.per_image = per_image
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, pixel_weights: Tensor | None = None) -> Tensor:
        """logits (B, K, H, W) float, target (B, H, W) in [0, K) or ignored, pixel_weights (B, H, W) -> float32 ()."""
        logits, labels, _, weights = weigh(logits, target, None, pixel_weights, self.ignore_index)
        probabilities = logits.softmax(dim=1)
        groups: list[slice] = [slice(i, i + 1) for i in range(len(labels))] if self.per_image else [slice(None)]
        losses = [
            _lovasz(probabilities[group].transpose(0, 1).flatten(1), labels[group].flatten(), weights[group].flatten())
            for group in groups
            if bool(weights[group].any())
        ]
        # the sum keeps the graph whole, so that backward works with nothing to learn from
        return torch.stack(losses).mean() if losses else probabilities.sum() * 0.0


def _lovasz(probabilities: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The mean over present classes for probabilities (K, N), labels (N,), and weights (N,), 0 where ignored."""
    losses = []
    for c, probability in enumerate(probabilities):
        truth = (labels == c) & (weights > 0)
        if truth.any():
            errors = torch.where(truth, 1 - probability, probability)
            losses.append((errors * _slopes(errors.detach(), truth, weights)).sum())
    return torch.stack(losses).mean()


def _slopes(errors: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """How much the Jaccard loss rises as each pixel, taken from the largest error down, turns wrong: (N,)."""
    order = _descending(errors)
    truth, weights = truth[order], weights[order]
    inside = torch.where(truth, weights, 0.0)
    union = inside.sum() + (weights - inside).cumsum(0)
    missed = inside.cumsum(0)
    # a pixel of the class leaves the intersection; any other joins the union
    outside_slope = (inside.sum() - missed).clamp_min(0) * weights / (union * (union - weights + inside))
    return torch.empty_like(errors).scatter_(0, order, torch.where(truth, weights / union, outside_slope))


def _descending(values: Tensor) -> Tensor:
    if values.device.type != "cpu":
        return values.argsort(descending=True)
    # numpy's vectorised sort is some three times as quick as torch's on a CPU, and sorting is most of this loss
    return torch.from_numpy(np.argsort(-values.numpy()))
