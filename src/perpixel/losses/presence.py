"""The semantic encoding loss of EncNet: which classes are in the image, whatever their size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import IGNORE


class Presence(nn.Module):
    """Binary cross entropy of each class's presence in each image, from scores before the sigmoid.

        t_bc = 1 where class c has a pixel in image b, else 0
        loss = mean of -t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)), over all classes and all images that count

    A class of one pixel counts as much as one of a million. Ignored pixels are no presence, and an image of nothing else
    says nothing of any class: it does not count. (In the authors' code such an image is one without any class.)

    Args:
        ignore_index: the label that counts for nothing.

    All ignored: 0 with a zero gradient. A label out of range: torch's error on CPU.

    Source: EncNet (Zhang et al. 2018, section 3.1, "Semantic Encoding Loss").

    >>> round(Presence()(torch.zeros(1, 4), torch.zeros(1, 2, 2, dtype=torch.int64)).item(), 4)  # ln 2
    0.6931
    """

    def __init__(self, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, presence: Tensor, target: Tensor) -> Tensor:
        """presence (B, K) float, scores; target (B, H, W) in [0, K) or ignored -> float32 ().

        Raises:
            ValueError: when the shapes do not go together.
        """
        if presence.ndim != 2 or target.ndim != 3 or len(presence) != len(target):
            raise ValueError(
                f"expected presence (B, K) and target (B, H, W), got {tuple(presence.shape)} and {tuple(target.shape)}"
            )
        presence = presence if presence.dtype == torch.float64 else presence.float()
        present = class_presence(target, presence.shape[1], self.ignore_index)
        losses = F.binary_cross_entropy_with_logits(presence, present.to(presence.dtype), reduction="none").mean(dim=1)
        counts = present.any(dim=1)
        return torch.where(counts, losses, 0.0).sum() / counts.sum().clamp_min(1)


def class_presence(target: Tensor, num_classes: int, ignore_index: int = IGNORE) -> Tensor:
    """(B, H, W) integers in [0, K) or ignored -> (B, K) bool: the class has a pixel in the image.

    >>> class_presence(torch.tensor([[[0, 2, 255]]]), 4).tolist()
    [[True, False, True, False]]
    """
    labels = target.long()
    labels = torch.where(labels == ignore_index, num_classes, labels).flatten(1)  # B,H*W; the ignored get a bin too
    bins = torch.zeros(len(labels), num_classes + 1, dtype=torch.bool, device=labels.device)
    return bins.scatter_(1, labels, True)[:, :num_classes]
