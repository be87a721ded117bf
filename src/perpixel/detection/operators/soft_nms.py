"""Soft-NMS: boxes that overlap a better one lose score, and not at once their place."""

from typing import Literal

import torch
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.detection.operators.coding import overlaps

Decay = Literal["linear", "gaussian"]


def soft_nms(
    boxes: Tensor, scores: Tensor, decay: Decay = "gaussian", iou: float = 0.3, sigma: float = 0.5, least: float = 0.001
) -> tuple[Tensor, Tensor]:
    """`(N, 4)`, `(N,)` -> the boxes that remain, as indices `(n,)`, and their scores `(n,)`, best first.

    Again and again the best box is taken out, and the others' scores are multiplied by

        linear      1 - overlap, where the overlap with it is `iou` or more
        gaussian    exp(-overlap^2 / sigma)

    until no score is `least` or more. Overlaps are IoU; of equal scores the first box goes first. All boxes are of one
    class. The cost is O(N n).

    Raises `UserError` for another decay.

    Source: Bodla, Singh, Chellappa, Davis, "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017,
    arXiv:1704.04503, equations 2 and 3.

    >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0], [8.0, 8.0, 9.0, 9.0]])
    >>> soft_nms(boxes, torch.tensor([0.9, 0.8, 0.5]), "linear")
    (tensor([0, 2, 1]), tensor([0.9000, 0.5000, 0.4000]))
    """
    if decay not in ("linear", "gaussian"):
        raise UserError(f'decay must be one of linear, gaussian; got "{decay}"')
    scores, waiting = scores.clone(), torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    chosen: list[int] = []
    for _ in range(len(scores)):
        best = int(scores.masked_fill(~waiting, -torch.inf).argmax())
        if not scores[best] >= least:
            break
        chosen.append(best)
        waiting[best] = False
        overlap = overlaps(boxes[best : best + 1], boxes)[0]
        keep = 1 - overlap * (overlap >= iou) if decay == "linear" else (-(overlap**2) / sigma).exp()
        scores = torch.where(waiting, scores * keep, scores)
    kept = torch.tensor(chosen, dtype=torch.int64, device=boxes.device)
    return kept, scores[kept]
