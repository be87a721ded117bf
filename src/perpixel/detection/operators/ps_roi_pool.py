"""Position-sensitive RoI pooling: each bin of a region looks at score maps of its own."""

import torch
from torch import Tensor


def ps_roi_pool(maps: Tensor, rois: Tensor, group: int, stride: int) -> Tensor:
    """Means of maps over k x k bins of regions: `(B, C * k * k, H, W)`, `(R, 5)` -> `(R, C, k, k)`.

    Bin (i, j) of channel c is the mean of map c * k * k + i * k + j alone, over the places that it touches:

        x1, x2     the box's sides, each rounded to a whole pixel (a half goes up), over `stride`
        w          max(x2 - x1, 0.1)
        columns    floor(x1 + j w / k) to ceil(x1 + (j + 1) w / k) - 1, those of the map
        rows       likewise

    A bin that touches no place of the map is 0. k is `group`. Gradients flow to the maps, not to the boxes.

    torchvision's operator of this name (0.29) rounds boxes to whole places of the map; its means leave out the map's
    last row and column, its gradients do not.

    Means come from sums over all that lies above and to the left, so that their cost does not depend on the boxes. The
    bounds are computed in whole numbers, the sums in fp64 where the device has it.

    Source: Dai et al., "R-FCN", NIPS 2016, section 2, and its authors' code for the bounds.

    >>> maps = torch.stack([torch.full((2, 2), float(i)) for i in range(4)])[None]
    >>> ps_roi_pool(maps, torch.tensor([[0.0, 0.0, 0.0, 32.0, 32.0]]), group=2, stride=16).tolist()
    [[[[0.0, 1.0], [2.0, 3.0]]]]
    """
    _, depth, height, width = maps.shape
    (left, right), (top, bottom) = (
        bin_bounds(rois[:, [i, i + 2]], group, stride, n) for i, n in ((1, width), (2, height))
    )
    sums = running_sums(maps).flatten()
    place = torch.arange(depth, device=maps.device).view(1, -1, group, group)  # 1,C,k,k
    place = (rois[:, 0].long().view(-1, 1, 1, 1) * depth + place) * ((height + 1) * (width + 1))  # R,C,k,k

    def upto(rows: Tensor, columns: Tensor) -> Tensor:
        corners = place + (rows[:, None, :, None] * (width + 1) + columns[:, None, None, :])
        return sums.index_select(0, corners.flatten()).view(corners.shape)

    total = upto(bottom, right) - upto(bottom, left) - upto(top, right) + upto(top, left)
    area = (bottom - top).clamp(min=0)[:, None, :, None] * (right - left).clamp(min=0)[:, None, None, :]
    return torch.where(area > 0, total / area.clamp(min=1), 0).to(maps.dtype)


def bin_bounds(sides: Tensor, group: int, stride: int, length: int) -> tuple[Tensor, Tensor]:
    """The first place, and that behind the last, of each bin along one axis: `(R, 2)` pixels -> `(R, k)` int64 twice.

    Everything is counted in the 10 k stride-th parts of a place, which are whole numbers.
    """
    low, high = (sides.detach() + 0.5).floor().long().unbind(1)
    extent = (10 * (high - low)).clamp(min=stride)
    edges = 10 * group * low[:, None] + extent[:, None] * torch.arange(group + 1, device=sides.device)
    unit = 10 * group * stride
    first, behind = edges[:, :-1].div(unit, rounding_mode="floor"), -(-edges[:, 1:]).div(unit, rounding_mode="floor")
    return first.clamp(0, length), behind.clamp(0, length)


def running_sums(maps: Tensor) -> Tensor:
    """`(B, D, H, W)` -> `(B, D, H + 1, W + 1)`: what lies above and to the left of each corner between places."""
    kind = torch.float32 if maps.device.type == "mps" else torch.float64
    sums = maps.to(kind).cumsum(dim=-2).cumsum(dim=-1)
    return torch.nn.functional.pad(sums, (1, 0, 1, 0))
