"""Anchors: boxes of a few sizes and shapes at every place of a map, from which proposals are told."""

from collections.abc import Sequence

import torch
from torch import Tensor

from perpixel.core import Size


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """`(A, 4)` boxes around 0, 0: of each ratio (height / width) each size, whose square is their area.

    Source: Ren et al., "Faster R-CNN", NIPS 2015, section 3.1. Its authors round the sides of a small box of each ratio
    first, and then enlarge it.

    >>> cell_anchors([4.0], [1.0, 4.0]).tolist()
    [[-2.0, -2.0, 2.0, 2.0], [-1.0, -4.0, 1.0, 4.0]]
    """
    roots = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    lengths = torch.tensor(sizes, dtype=torch.float32)
    half = torch.stack([(lengths / roots).flatten(), (lengths * roots).flatten()], dim=1) / 2
    return torch.cat([-half, half], dim=1)


def grid_anchors(cells: Tensor, size: Size, stride: tuple[float, float], centred: bool = True) -> Tensor:
    """The anchors of every place of a map: `(A, 4)` -> `(h * w * A, 4)`, by rows, then columns, then anchors.

    `size` is (h, w) of the map, `stride` how far its rows and columns lie apart in the image, (rows, columns). Anchors
    are around the middle of the part of the image that a place stands for; without `centred` around its top left
    corner, as torchvision's.

    >>> grid_anchors(torch.tensor([[-1.0, -1.0, 1.0, 1.0]]), (1, 2), (16, 16)).tolist()
    [[7.0, 7.0, 9.0, 9.0], [23.0, 7.0, 25.0, 9.0]]
    """
    y, x = ((torch.arange(n, device=cells.device) + 0.5 * centred) * s for n, s in zip(size, stride, strict=True))
    places = torch.stack([x.expand(size), y[:, None].expand(size)], dim=-1).reshape(-1, 1, 2)
    return (places.repeat(1, 1, 2) + cells).reshape(-1, 4)
