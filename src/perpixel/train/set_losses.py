"""How each set of a mixture is doing: its part of the loss between two rows of the history, and its figures on its own val.

The loss is the cross entropy under the recipe's class weights, of every STRIDE-th row and column: as `shares` looks at it. Nothing
here changes a step.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from perpixel.core import IGNORE
from perpixel.metrics import Evaluation
from perpixel.train.shares import STRIDE, ClassShares

SHARES = 3
"""So many rows of the sums are of the class shares."""


class SharesAndSets:
    """The tally of a mixture: the class shares of all, and the loss of each set.

    Args:
        shares: of the classes.
        sets: names.
        weights: K class weights of the loss.
    """

    def __init__(self, shares: ClassShares, sets: Sequence[str], weights: Sequence[float]) -> None:
        self.shares, self.sets, self.weights = shares, tuple(sets), torch.tensor(weights, dtype=torch.float32)
        self.totals = [[0.0] * len(self.sets), [0.0] * len(self.sets)]  # of the losses, and of their weights

    @torch.no_grad()
    def watch(self, logits: Tensor, labels: Tensor, sets: Sequence[str]) -> None:
        """Takes a batch into account.

        Args:
            logits: (B, K, H, W).
            labels: (B, H, W) uint8 on the same device, 255 ignored.
            sets: of each of its B samples.
        """
        here, weights = labels[:, ::STRIDE, ::STRIDE].long(), self.weights.to(logits.device)
        losses = F.cross_entropy(
            logits[:, :, ::STRIDE, ::STRIDE].float(), here, weights, ignore_index=IGNORE, reduction="none"
        )
        known = here != IGNORE
        weighed = torch.where(known, weights[torch.where(known, here, 0)], 0.0)
        for name, loss, weight in zip(sets, losses.sum((1, 2)).tolist(), weighed.sum((1, 2)).tolist(), strict=True):
            self.totals[0][self.sets.index(name)] += loss
            self.totals[1][self.sets.index(name)] += weight

    def sums(self) -> list[list[float]]:
        """What `restore` takes, for a checkpoint."""
        return [*self.shares.sums(), *(list(row) for row in self.totals)]

    def restore(self, sums: Sequence[Sequence[float]]) -> None:
        """Goes on from the sums of a checkpoint."""
        self.shares.restore(sums[:SHARES])
        if len(sums) > SHARES:
            self.totals = [list(row) for row in sums[SHARES:]]

    def columns(self) -> Mapping[str, float]:
        """Columns of a row: the shares, and the mean loss of each set that was drawn from. It begins anew."""
        found = {
            f"set_loss_{name}": float(f"{loss / weight:.5g}")
            for name, loss, weight in zip(self.sets, *self.totals, strict=True)
            if weight
        }
        self.totals = [[0.0] * len(self.sets), [0.0] * len(self.sets)]
        return {**self.shares.columns(), **found}


def over_sets(found: Mapping[str, Evaluation]) -> dict[str, float]:
    """The arithmetic and the harmonic mean of the sets' mIoU, each set counted once; NaN, of a set without labels, is 0."""
    each = [0.0 if math.isnan(e.confusion.mean_iou) else e.confusion.mean_iou for e in found.values()]
    return {"mean": statistics.mean(each), "harmonic_mean": statistics.harmonic_mean(each)}
