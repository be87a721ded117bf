"""Deformable position-sensitive RoI pooling: the bins of a region move by learned offsets."""

import torch
import torch.nn.functional as F
from torch import Tensor


def deformable_ps_roi_pool(
    maps: Tensor,
    rois: Tensor,
    offsets: Tensor | None,
    group: int,
    stride: int,
    samples: int = 4,
    spread: float = 0.1,
) -> Tensor:
    """Means of maps over s x s points in each of k x k bins: `(B, C * k * k, H, W)`, `(R, 5)` -> `(R, C, k, k)`.

    Bin (i, j) of channel c reads map c * k * k + i * k + j alone, bilinearly, at

        x1, x2     the box's sides, each rounded to a whole pixel (a half goes up), over `stride`, less 1/2
        w          max(x2 - x1, 0.1)
        columns    x1 + (j + n / s) w / k + spread * w * offset, n = 0 ... s - 1
        rows       likewise

    k is `group`, s is `samples`. `offsets` are `(R, 2 * G, k, k)`, where G divides C: parts of C / G channels share
    theirs, (columns, rows), in multiples of the box. None is no offset. Points more than 1/2 outside the map count for
    nothing, those nearer read the border; a bin with no point is 0. Gradients flow to maps and offsets.

    It computes in fp32 at least, and the result has the type of the maps.

    Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017, section 2.2, and its authors' code.

    >>> maps = torch.arange(8.0).expand(1, 1, 8, 8)
    >>> roi, right = torch.tensor([[0.0, 2.0, 2.0, 4.0, 4.0]]), torch.tensor([[10.0, 0.0]]).view(1, 2, 1, 1)
    >>> [deformable_ps_roi_pool(maps, roi, o, group=1, stride=1, samples=2).item() for o in (None, right)]
    [2.0, 4.0]
    """
    kind = torch.promote_types(maps.dtype, torch.float32)
    parts = 1 if offsets is None else offsets.shape[1] // 2
    columns, rows = sampling_points(rois.to(kind), offsets, group, stride, samples, spread)  # R,G,k,k,s each
    pooled = maps.new_zeros((len(rois), maps.shape[1] // group**2, group, group), dtype=kind)
    for image in rois[:, 0].unique().long().tolist():
        here = (rois[:, 0] == image).nonzero().squeeze(1)
        found = pool_image(maps[image].to(kind), columns[here], rows[here], parts, group)
        pooled = pooled.index_copy(0, here, found)
    return pooled.to(maps.dtype)


def sampling_points(
    rois: Tensor, offsets: Tensor | None, group: int, stride: int, samples: int, spread: float
) -> tuple[Tensor, Tensor]:
    """Where regions are read: columns and rows on the map, `(R, G, k, k, samples)` each; G is 1 without offsets."""
    low, high = ((rois[:, 1:] + 0.5).floor() / stride - 0.5).view(-1, 1, 1, 1, 2, 2).unbind(-2)  # R,1,1,1,2
    extent = (high - low).clamp(min=0.1)
    steps = torch.arange(group * samples, device=rois.device, dtype=rois.dtype).view(group, samples) / (group * samples)
    (x1, y1), (width, height) = low.unbind(-1), extent.unbind(-1)  # R,1,1,1
    columns = (x1[..., None] + width[..., None] * steps.view(1, 1, 1, group, samples)).expand(-1, 1, group, -1, -1)
    rows = (y1[..., None] + height[..., None] * steps.view(1, 1, group, 1, samples)).expand(-1, 1, -1, group, -1)
    if offsets is None:
        return columns, rows
    moves = offsets.to(rois.dtype).unflatten(1, (-1, 2)) * spread  # R,G,2,k,k
    return columns + (moves[:, :, 0] * width)[..., None], rows + (moves[:, :, 1] * height)[..., None]


def pool_image(maps: Tensor, columns: Tensor, rows: Tensor, parts: int, group: int) -> Tensor:
    """One image's maps `(C * k * k, H, W)` at points `(R, G, k, k, samples)` -> `(R, C, k, k)`.

    The maps of one part and bin share their points, so that they are the channels of one image of `grid_sample`.
    """
    height, width = maps.shape[-2:]
    regions, samples = columns.shape[0], columns.shape[-1]
    x = columns[..., None, :].expand(*columns.shape, samples)
    y = rows[..., None].expand(*rows.shape, samples)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)  # R,G,k,k,s,s,2
    grid = grid.permute(1, 2, 3, 0, 4, 5, 6).reshape(parts * group**2, regions, samples**2, 2)
    valid = inside.permute(1, 2, 3, 0, 4, 5).reshape(parts * group**2, 1, regions, samples**2)
    images = maps.unflatten(0, (parts, -1, group**2)).transpose(1, 2).flatten(0, 1)  # G*k*k,C/G,H,W
    read = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    means = (read * valid).sum(-1) / valid.sum(-1).clamp(min=1)  # G*k*k,C/G,R
    return means.unflatten(0, (parts, group, group)).permute(4, 0, 3, 1, 2).flatten(1, 2)
