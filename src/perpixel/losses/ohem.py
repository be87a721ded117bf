"""Online hard example mining by pixel: cross entropy over the pixels that the network finds hard."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import IGNORE
from perpixel.losses.weights import weigh


class OhemCrossEntropy(nn.Module):
    """The mean cross entropy of the pixels whose true class has a probability below a threshold that moves.

        p          softmax probability of the true class, over the n valid pixels of the batch, sorted ascending from 0
        threshold' max(threshold, p[min(min_kept, n - 1)])
        loss       sum(w_i * CE_i over p_i < threshold') / number of those pixels

    So every pixel below `threshold` counts, and where they are fewer than `min_kept`, about the `min_kept` hardest.
    The comparison is strict, as the authors': with n <= min_kept the easiest pixel is left out when it is at or above
    `threshold`, and so are pixels tied with the limit. The division is by the number of pixels, not by their weights.

    Args:
        threshold: a probability in [0, 1]; 0.9 in HRNet, 0.7 in most other code.
        min_kept: pixels a device's batch, >= 0; HRNet's 131072 is a quarter of one 512x1024 crop.
        class_weights: (K,) or None for 1; they weigh the losses, not the choice of pixels.
        ignore_index: the label that counts for nothing.

    All ignored, or no pixel chosen: 0 with a zero gradient.

    Source: the segmentation code of HRNet (Sun et al. 2019, arXiv 1904.04514); the idea is Shrivastava et al. 2016.

    Raises:
        ValueError: for a threshold outside [0, 1] or a negative min_kept.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        threshold: float = 0.7,
        min_kept: int = 131072,
        class_weights: Tensor | Sequence[float] | None = None,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__()
        if not 0 <= threshold <= 1 or min_kept < 0:
            raise ValueError(f"expected a threshold in [0, 1] and min_kept >= 0, got {threshold} and {min_kept}")
        weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.threshold = threshold
        self.min_kept = min_kept
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, pixel_weights: Tensor | None = None) -> Tensor:
        """logits (B, K, H, W) float, target (B, H, W) in [0, K) or ignored, pixel_weights (B, H, W) -> float32 ()."""
        logits, _, valid, weights = weigh(logits, target, self.class_weights, pixel_weights, self.ignore_index)
        losses = F.cross_entropy(logits, target.long(), reduction="none", ignore_index=self.ignore_index)
        hard = self._hard(losses.detach(), valid)
        return torch.where(hard, losses * weights, 0.0).sum() / hard.sum().clamp_min(1)

    def _hard(self, losses: Tensor, valid: Tensor) -> Tensor:
        """(B, H, W) bool: the pixels that count. `losses` is -ln p, unweighted."""
        probability = torch.exp(-losses)
        candidates = probability[valid]
        below = valid & (probability < self.threshold)
        # the limit exceeds the threshold only when it has at most min_kept pixels at or below it: else no selection
        if len(candidates) == 0 or int((candidates <= self.threshold).sum()) > self.min_kept:
            return below
        limit = torch.kthvalue(candidates, min(self.min_kept, len(candidates) - 1) + 1).values
        return valid & (probability < limit.clamp_min(self.threshold))
