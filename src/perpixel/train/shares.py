"""Which classes the loss listens to: each class's share of the pixels, of the loss, and of the gradient at the logits.

    logits, labels ─ every STRIDE-th row and column ─┬─ pixels of each class
                                                     ├─ cross entropy, under the recipe's class weights
                                                     └─ |gradient|, summed over the K logits, when it comes

A class that gets almost none of the gradient will not be learnt. The gradient is that of the whole loss, whatever its
terms; the loss is the weighted cross entropy, for others have no share by pixel. Under several processes they are those of
the main one's batches. Nothing here changes a step: the hook looks and returns nothing, and no random number is drawn.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from perpixel.core import IGNORE

STRIDE = 4
"""One pixel in 16 is looked at: shares over the steps between two rows are as exact as they are of use."""
PIXELS, LOSS, GRADIENT = range(3)
WHAT = ("pixels", "loss", "gradient")


class ClassShares:
    """Sums over the steps since the last row of the history.

    Args:
        names: of the K classes.
        weights: K class weights of the loss.
    """

    def __init__(self, names: Sequence[str], weights: Sequence[float]) -> None:
        self.names, self.weights = tuple(names), torch.tensor(weights, dtype=torch.float32)
        self.totals = torch.zeros(3, len(self.names) + 1)  # the last column: boundary pixels of any class
        self.last: Mapping[str, float] = {}

    def watch(self, logits: Tensor, labels: Tensor) -> None:
        """Takes a batch into account, and its gradient once that is there.

        Args:
            logits: (B, K, H, W), what the loss descends from.
            labels: (B, H, W) uint8 on the same device, 255 ignored.
        """
        self._move_to(logits.device)
        here, boundary = _grid(labels)
        with torch.no_grad():
            losses = F.cross_entropy(
                logits[:, :, ::STRIDE, ::STRIDE].float(), here, self.weights, ignore_index=IGNORE, reduction="none"
            )
            self._add(PIXELS, torch.ones_like(losses), here, boundary)
            self._add(LOSS, losses, here, boundary)
        if logits.requires_grad:
            logits.register_hook(lambda g: self._add(GRADIENT, _length(g), here, boundary))

    def _add(self, what: int, values: Tensor, labels: Tensor, boundary: Tensor) -> None:
        k = len(self.names)
        known = torch.where(labels == IGNORE, k, labels).flatten()
        found = torch.zeros(k + 1, device=values.device).index_add_(0, known, values.flatten())
        found[k] = (values * boundary).sum()
        self.totals[what] += found

    def _move_to(self, device: torch.device) -> None:
        if self.totals.device != device:
            self.totals, self.weights = self.totals.to(device), self.weights.to(device)

    def sums(self) -> list[list[float]]:
        """What `restore` takes, for a checkpoint."""
        return self.totals.tolist()

    def restore(self, sums: Sequence[Sequence[float]]) -> None:
        """Goes on from the sums of a checkpoint."""
        if sums:
            self.totals = torch.tensor(sums, device=self.totals.device)

    def columns(self) -> Mapping[str, float]:
        """The shares since the last call, as columns of a row of the history; it begins anew. Empty for no pixel."""
        sums, self.totals = self.totals.tolist(), torch.zeros_like(self.totals)
        found: dict[str, float] = {}
        for what, row in zip(WHAT, sums, strict=True):
            whole = sum(row[:-1])
            if whole > 0:
                shares = {f"{what}_{name}": x / whole for name, x in zip(self.names, row, strict=False)}
                found |= {k: float(f"{x:.5g}") for k, x in {**shares, f"boundary_{what}": row[-1] / whole}.items()}
        self.last = found
        return found


def _grid(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(B, h, w) int64 labels of every STRIDE-th row and column, and whether an edge neighbour is of another class."""
    here = labels[:, ::STRIDE, ::STRIDE]
    wide, boundary = F.pad(labels, (1, 1, 1, 1), value=IGNORE), torch.zeros_like(here, dtype=torch.bool)
    for top, left in ((0, 1), (2, 1), (1, 0), (1, 2)):
        there = wide[:, top : top + labels.shape[1] : STRIDE, left : left + labels.shape[2] : STRIDE]
        boundary |= (there != here) & (there != IGNORE)
    return here.long(), boundary & (here != IGNORE)


def _length(gradient: Tensor) -> Tensor:
    """(B, h, w) the sum over the K logits of the absolute gradient, of every STRIDE-th row and column."""
    sizes = gradient[:, :, ::STRIDE, ::STRIDE].float().abs().sum(1)
    return sizes.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)  # what overflowed in fp16 is no step either
