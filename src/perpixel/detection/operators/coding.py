"""Boxes told relative to other boxes, which is what a detector learns, and how much boxes overlap."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

DELTA_SCALES = (0.1, 0.1, 0.2, 0.2)
"""What the deltas of a detector's head are divided by, so that they vary by about 1 (Fast R-CNN's code)."""
LARGEST_GROWTH = math.log(1000 / 16)
"""No box becomes more than 62.5 times as wide or high as its reference: e to a wild number would overflow."""


def encode(boxes: Tensor, references: Tensor, scales: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """How to get from `references` to `boxes`: `(N, 4)` both -> deltas `(N, 4)`.

        dx = (x - x_r) / w_r / scales[0]      dw = ln(w / w_r) / scales[2]      x, y the centres
        dy = (y - y_r) / h_r / scales[1]      dh = ln(h / h_r) / scales[3]

    Both must have widths and heights above 0; others give infinities.

    Source: Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix C.

    >>> encode(torch.tensor([[4.0, 0.0, 8.0, 4.0]]), torch.tensor([[0.0, 0.0, 4.0, 4.0]])).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """
    centres, sizes = centre_and_size(boxes)
    reference_centres, reference_sizes = centre_and_size(references)
    moves, growth = (centres - reference_centres) / reference_sizes, (sizes / reference_sizes).log()
    return torch.cat([moves, growth], dim=-1) / boxes.new_tensor(scales)


def decode(deltas: Tensor, references: Tensor, scales: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """The inverse of `encode`: deltas `(N, G, 4)` and references `(N, 4)` -> boxes `(N, G, 4)`; or `(N, 4)` throughout.

    A box grows by no more than `LARGEST_GROWTH`. A reference of no width or height gives a box that has none either.

    >>> decode(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 4.0, 4.0]])).tolist()
    [[4.0, 0.0, 8.0, 4.0]]
    """
    references = references if deltas.ndim == 2 else references[:, None]
    centres, sizes = centre_and_size(references)
    moves, growth = (deltas * deltas.new_tensor(scales)).split(2, dim=-1)
    centres, sizes = centres + moves * sizes, sizes * growth.clamp(max=LARGEST_GROWTH).exp()
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)


def centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(x, y) of the centres and (width, height): `(..., 2)` each."""
    low, high = boxes.split(2, dim=-1)
    return (low + high) / 2, high - low


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of every box with every other: `(N, 4)`, `(M, 4)` -> `(N, M)`; 0 for a box without area, even with itself."""
    return box_iou(boxes, others).nan_to_num(nan=0.0)


def shares_inside(boxes: Tensor, others: Tensor) -> Tensor:
    """What share of each box lies in each of the others: `(N, 4)`, `(M, 4)` -> `(N, M)`; 0 for a box without area.

    >>> shares_inside(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([[3.0, 0.0, 9.0, 9.0]])).tolist()
    [[0.25]]
    """
    low, high = torch.maximum(boxes[:, None, :2], others[:, :2]), torch.minimum(boxes[:, None, 2:], others[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    return (common / (boxes[:, 2:] - boxes[:, :2]).prod(dim=-1)[:, None]).nan_to_num(nan=0.0, posinf=0.0)
