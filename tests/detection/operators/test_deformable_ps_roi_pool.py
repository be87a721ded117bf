"""Deformable position-sensitive RoI pooling against a slow loop, numeric gradients, and the plain mean of a plane."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from perpixel.detection.operators import deformable_ps_roi_pool

ROIS = torch.tensor(
    [
        [0, 3.2, 5.1, 50.7, 40.2],
        [1, 0, 0, 0, 0],
        [1, -40, -30, 20, 25],
        [0, 60, 30, 140, 100],
        [0, 300, 300, 340, 360],  # outside
        [1, 20, 20, 10, 70],  # inside out
        [0, 0, 0, 112, 80],
    ],
    dtype=torch.float64,
)


def values(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bilinear(plane: list[list[float]], y: float, x: float) -> float:
    """Between four places; the caller has clamped y and x."""
    y0, x0 = math.floor(y), math.floor(x)
    y1, x1 = math.ceil(y), math.ceil(x)
    above = plane[y0][x0] * (1 - (x - x0)) + plane[y0][x1] * (x - x0)
    below = plane[y1][x0] * (1 - (x - x0)) + plane[y1][x1] * (x - x0)
    return above * (1 - (y - y0)) + below * (y - y0)


def loop(
    maps: Tensor, rois: Tensor, offsets: Tensor | None, k: int, stride: int, samples: int, spread: float
) -> Tensor:
    """As the authors' kernel goes about it, one output at a time."""
    height, width = maps.shape[-2:]
    channels = maps.shape[1] // k**2
    parts = 1 if offsets is None else offsets.shape[1] // 2
    result = torch.zeros(len(rois), channels, k, k, dtype=torch.float64)
    planes = maps.tolist()
    for n, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (math.floor(side + 0.5) / stride - 0.5 for side in box)
        w, h = max(x2 - x1, 0.1), max(y2 - y1, 0.1)
        for c, i, j in itertools.product(range(channels), range(k), range(k)):
            part = c // (channels // parts)
            dx, dy = (0.0, 0.0) if offsets is None else offsets[n, 2 * part : 2 * part + 2, i, j].tolist()
            plane, read = planes[int(image)][c * k * k + i * k + j], []
            for down, right in itertools.product(range(samples), range(samples)):
                x = x1 + j * w / k + dx * spread * w + right * w / k / samples
                y = y1 + i * h / k + dy * spread * h + down * h / k / samples
                if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
                    read.append(bilinear(plane, min(max(y, 0), height - 1), min(max(x, 0), width - 1)))
            result[n, c, i, j] = sum(read) / len(read) if read else 0.0
    return result


@pytest.mark.parametrize(("k", "channels", "parts"), [(7, 2, 2), (3, 4, 1), (3, 4, 2), (2, 3, 0), (1, 2, 1)])
def test_it_is_the_slow_loop(k: int, channels: int, parts: int) -> None:
    maps = values(2, channels * k * k, 5, 7)
    offsets = values(len(ROIS), 2 * parts, k, k, seed=2) if parts else None
    for samples, spread in ((4, 0.1), (2, 0.5)):
        found = deformable_ps_roi_pool(maps, ROIS, offsets, k, 16, samples, spread)
        expected = loop(maps, ROIS, offsets, k, 16, samples, spread)
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
        assert not expected[4].any() and 0.2 < (expected != 0).double().mean() < 0.95


def test_gradients_are_the_numeric_ones_for_maps_and_offsets() -> None:
    maps, offsets = values(2, 2 * 9, 5, 7).requires_grad_(), values(len(ROIS), 4, 3, 3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m, o: deformable_ps_roi_pool(m, ROIS, o, 3, 16, samples=2), (maps, offsets), eps=1e-7, atol=1e-5
    )


def test_offsets_of_zero_are_none() -> None:
    maps = values(2, 2 * 9, 5, 7)
    zeros = torch.zeros(len(ROIS), 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(
        deformable_ps_roi_pool(maps, ROIS, zeros, 3, 16), deformable_ps_roi_pool(maps, ROIS, None, 3, 16)
    )


def test_an_offset_of_one_moves_a_bin_by_a_tenth_of_the_box() -> None:
    """On a map that grows by 1 a column and by 100 a row, a mean of points is the value at their middle."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    maps = (columns + 100 * rows).double().expand(1, 4, 64, 64)
    roi = torch.tensor([[0.0, 160.0, 160.0, 480.0, 320.0]], dtype=torch.float64)  # 20 columns, 10 rows
    still = deformable_ps_roi_pool(maps, roi, torch.zeros(1, 2, 2, 2, dtype=torch.float64), 2, 16)
    offsets = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    offsets[0, 0, 0, 1], offsets[0, 1, 1, 0] = 1.0, -1.0
    moved = deformable_ps_roi_pool(maps, roi, offsets, 2, 16) - still
    torch.testing.assert_close(moved[0, 0], torch.tensor([[0.0, 2.0], [-100.0, 0.0]], dtype=torch.float64))


def test_no_regions_and_half_precision() -> None:
    maps, offsets = values(2, 18, 4, 4).requires_grad_(), values(0, 4, 3, 3).requires_grad_()
    pooled = deformable_ps_roi_pool(maps, torch.zeros(0, 5), offsets, 3, 16)
    assert pooled.shape == (0, 2, 3, 3)
    half = deformable_ps_roi_pool(maps.bfloat16(), ROIS, None, 3, 16)
    assert half.dtype == torch.bfloat16
    full = deformable_ps_roi_pool(maps.bfloat16().double(), ROIS, None, 3, 16)
    torch.testing.assert_close(half.double(), full, atol=0.02, rtol=0.02)
