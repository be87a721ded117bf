"""Online hard example mining by region: of all regions, those that the detector finds hardest are learned from.

Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with Online Hard Example Mining", CVPR 2016,
arXiv:1604.03540. What the paper leaves open is the authors' code (github.com/abhi2610/ohem).

    all regions of the batch ── head, without gradients ── the loss of each
      │
    NMS by loss, within each image and label      overlapping regions have the same losses, which would count twice
      │
    the B of the largest loss ── head, with gradients ── the loss to descend

Its sibling by pixel is losses/ohem.py: there no second pass is needed, for every pixel has its own score anyway.

Differs from the paper:
- The paper takes B / N of each of N images in its text; here, as in the code, B of all.
"""

import torch
from torch import Tensor
from torchvision.ops import nms


@torch.no_grad()
def hard_regions(losses: Tensor, rois: Tensor, labels: Tensor, keep: int, iou: float | None = 0.7) -> Tensor:
    """Which regions are learned from: up to `keep` indices, hardest first.

    Args:
        losses: `(R,)`, of a pass without gradients.
        rois: `(R, 5)`.
        labels: `(R,)`; a region of label -1 is never chosen.
        keep: B, for all images of the batch together.
        iou: of two regions of an image and a label that overlap by more, the easier is not chosen; None lets it be, as
            the authors of R-FCN do.

    >>> rois = torch.tensor([[0.0, 0, 0, 9, 9], [0, 0, 0, 9, 10], [0, 50, 50, 60, 60], [1, 0, 0, 9, 9]])
    >>> hard_regions(torch.tensor([0.5, 0.7, 0.1, 0.6]), rois, torch.tensor([0, 0, 0, 0]), keep=2).tolist()
    [1, 3]
    """
    candidates = (labels >= 0).nonzero().squeeze(1)
    if iou is not None:
        groups = torch.stack([rois[candidates, 0].long(), labels[candidates]], dim=1).unique(
            dim=0, return_inverse=True
        )[1]
        parts = [candidates[groups == group] for group in range(int(groups.max()) + 1)] if len(groups) else []
        kept = [part[nms(rois[part, 1:].float(), losses[part].float(), iou)] for part in parts]
        candidates = torch.cat(kept) if kept else candidates
    return candidates[losses[candidates].argsort(descending=True, stable=True)[:keep]]
