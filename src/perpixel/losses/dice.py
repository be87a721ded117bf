"""Soft Dice: the overlap of probabilities and labels, class by class."""

import torch
from torch import Tensor, nn

from perpixel.core import IGNORE
from perpixel.losses.weights import weigh


class Dice(nn.Module):
    """One minus the soft Dice coefficient, averaged over the classes that the batch's target contains.

        I_c = sum(w_i p_ic over pixels of class c)    P_c = sum(w_i p_ic)    T_c = sum(w_i over pixels of class c)
        loss = mean over classes of 1 - (2 I_c + eps) / (P_c + T_c + eps)

    with p the softmax, and every sum over the valid pixels of the whole batch. The sums are plain; V-Net squares them
    in the denominator.

    Args:
        eps: in pixels; it keeps a class of few pixels from a steep gradient. A perfect prediction gives 0 with any.
        present_only: leave out the classes that the batch's target lacks. With False they count too, and the loss then
            pushes their probability down to nothing wherever they are absent.
        ignore_index: the label that counts for nothing.

    All ignored: 0 with a zero gradient. In [0, 1].

    Source: V-Net (Milletari et al. 2016, section 3), for K classes.

    Raises:
        ValueError: when eps is not above 0.

    >>> logits = torch.tensor([40.0, -40.0]).reshape(1, 2, 1, 1)
    >>> Dice()(logits, torch.zeros(1, 1, 1, dtype=torch.int64)).item()
    0.0
    """

    def __init__(self, eps: float = 1.0, present_only: bool = True, ignore_index: int = IGNORE) -> None:
        super().__init__()
        if eps <= 0:
            raise ValueError(f"eps must be above 0, got {eps}")
        self.eps = eps
        self.present_only = present_only
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, pixel_weights: Tensor | None = None) -> Tensor:
        """logits (B, K, H, W) float, target (B, H, W) in [0, K) or ignored, pixel_weights (B, H, W) -> float32 ()."""
        logits, labels, _, weights = weigh(logits, target, None, pixel_weights, self.ignore_index)
        classes = torch.arange(logits.shape[1], device=logits.device)[:, None, None]
        truth = labels[:, None] == classes  # B,K,H,W; an ignored pixel's weight is 0
        probabilities = logits.softmax(dim=1) * weights[:, None]

        predicted = probabilities.sum(dim=(0, 2, 3))
        common = torch.where(truth, probabilities, 0.0).sum(dim=(0, 2, 3))
        actual = torch.where(truth, weights[:, None], 0.0).sum(dim=(0, 2, 3))
        losses = 1 - (2 * common + self.eps) / (predicted + actual + self.eps)

        counted = actual > 0 if self.present_only else torch.ones_like(actual, dtype=torch.bool)
        return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp_min(1)
