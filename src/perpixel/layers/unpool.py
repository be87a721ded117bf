"""Max pooling over 2x2 that remembers in two bits where each maximum stood, and the unpooling that puts it back.

    pooled from          kept: 2 bits a window      unpooled

    1 2 │ 6 3                                       0 0 │ 6 0
    3 5 │ 2 1     5 6         3 0                   0 5 │ 0 0
    ────┼────            +                   ->     ────┼────
    1 2 │ 2 1     7 8         2 3                   0 0 │ 0 0
    7 3 │ 4 8                                       7 0 │ 0 8

Positions in a window are counted 0 1 / 2 3. PyTorch's `max_pool2d(return_indices=True)` keeps 64 bits a window.

Source: Badrinarayanan et al., "SegNet", PAMI 2017, section 3.1: "can be done, in principle, using 2 bits for each
2 x 2 pooling window".
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from perpixel.core import Size


def max_pool(x: Tensor, *, packed: bool) -> tuple[Tensor, Tensor]:
    """2x2 maxima of `(B, C, H, W)` at stride 2, `(B, C, ceil(H/2), ceil(W/2))`, and where they stood.

    Where they stood is, with `packed`, what `max_pool_packed` keeps; otherwise PyTorch's int64 indices.
    `max_unpool` takes either.
    """
    if packed:
        return max_pool_packed(x)
    return F.max_pool2d(x, kernel_size=2, stride=2, ceil_mode=True, return_indices=True)


def max_unpool(values: Tensor, kept: Tensor, output_size: Size) -> Tensor:
    """`(B, C, h, w)` and what `max_pool` kept -> `(B, C, *output_size)`: values at their places, zero elsewhere."""
    if kept.dtype == torch.uint8:
        return max_unpool_packed(values, kept, output_size)
    return F.max_unpool2d(values, kept, kernel_size=(2, 2), stride=(2, 2), output_size=output_size)


def max_pool_packed(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 maxima of `(B, C, H, W)` float at stride 2, `(B, C, ceil(H/2), ceil(W/2))`, and their positions, packed.

    The positions are `(ceil(n / 4),)` uint8 for n maxima: two bits each, four in a byte, 1/32 of int64 indices. An odd
    last row or column is pooled alone. Of equal maxima the first one's position is kept, row by row, as PyTorch does;
    in a window with a NaN the position means nothing.

    >>> values, kept = max_pool_packed(torch.tensor([[[[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]]]))
    >>> values.flatten().tolist(), kept.tolist() == [3 + 4 * 0 + 16 * 2 + 64 * 3]
    ([5.0, 6.0, 7.0, 8.0], True)
    """
    values = F.max_pool2d(x, kernel_size=2, stride=2, ceil_mode=True)
    return values, pack(first_equal(x.detach(), values.detach()))


def max_unpool_packed(values: Tensor, kept: Tensor, output_size: Size) -> Tensor:
    """`(B, C, h, w)` and the positions that `max_pool_packed` kept -> `(B, C, *output_size)`, zero elsewhere.

    Each side of `output_size` is twice that of `values`, or one less: the size that was pooled. Any other size, and
    positions of another number of maxima, raise `ValueError`.

    >>> values, kept = max_pool_packed(torch.tensor([[[[1.0, 4, 2], [3, 0, 5]]]]))
    >>> max_unpool_packed(values, kept, (2, 3)).tolist()
    [[[[0.0, 4.0, 0.0], [0.0, 0.0, 5.0]]]]
    """
    height, width = 2 * values.shape[-2], 2 * values.shape[-1]
    if not (0 <= height - output_size[0] <= 1 and 0 <= width - output_size[1] <= 1):
        raise ValueError(f"unpooling {tuple(values.shape)} gives {height} x {width} or one less; got {output_size}")
    positions = unpack(kept, values.numel()).view_as(values)
    cells = torch.arange(4, dtype=torch.uint8, device=values.device).view(4, 1, 1)
    planes = torch.where(positions.unsqueeze(2) == cells, values.unsqueeze(2), 0)  # B,C,4,h,w
    return F.pixel_shuffle(planes.flatten(1, 2), 2)[..., : output_size[0], : output_size[1]]


def first_equal(x: Tensor, values: Tensor) -> Tensor:
    """Which cell of its window first equals the window's maximum: `(B, C, h, w)` uint8 from 0 to 3."""
    odd_rows, odd_columns = x.shape[-2] % 2, x.shape[-1] % 2
    if odd_rows or odd_columns:
        x = F.pad(x, (0, odd_columns, 0, odd_rows), value=-torch.inf)
    not_0 = (x[..., 0::2, 0::2] != values).view(torch.uint8)
    not_1 = (x[..., 0::2, 1::2] != values).view(torch.uint8)
    not_2 = (x[..., 1::2, 0::2] != values).view(torch.uint8)
    return not_0 * (1 + not_1 * (1 + not_2))


def pack(positions: Tensor) -> Tensor:
    """n numbers from 0 to 3, uint8 of any shape -> `(ceil(n / 4),)` uint8. Byte i has those at i, i + m, i + 2m, i + 3m.

    m is the number of bytes: numbers that lie m apart share a byte because whole runs are then shifted at once.

    >>> pack(torch.tensor([1, 2, 3, 0, 3], dtype=torch.uint8)).tolist() == [1 + 4 * 3 + 16 * 3, 2]
    True
    """
    flat = positions.reshape(-1)
    quarters = F.pad(flat, (0, -flat.shape[0] % 4)).view(4, -1)
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def unpack(packed: Tensor, count: int) -> Tensor:
    """What `pack` packed: `(count,)` uint8 from 0 to 3.

    >>> unpack(torch.tensor([61, 2], dtype=torch.uint8), 5).tolist()
    [1, 2, 3, 0, 3]
    """
    if packed.shape != ((count + 3) // 4,):
        raise ValueError(f"{count} positions take {(count + 3) // 4} bytes; got a tensor of {tuple(packed.shape)}")
    return torch.cat([packed & 3, packed >> 2 & 3, packed >> 4 & 3, packed >> 6])[:count]
