"""Position-sensitive RoI pooling against a slow loop in fractions, and against torchvision where the two agree."""

import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
import torchvision.ops
from torch import Tensor

from perpixel.detection.operators import ps_roi_pool

STRANGE = [
    [0, 0, 0, 0, 0],  # no size
    [1, 31.5, 17.5, 31.5, 17.5],  # no size, and halves
    [0, 40, 8, 40, 90],  # no width
    [1, -70, -50, -20, -10],  # outside, above and to the left
    [0, 500, 300, 700, 420],  # outside, below and to the right
    [1, -33.3, 20, 500, 47.9],  # larger than the image
    [0, 50, 60, 20, 30],  # inside out
    [1, 0, 0, 112, 80],  # the whole map
    [0, 7.49, 7.51, 8.49, 8.51],  # one pixel
]


def random_rois(count: int, batch: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = (torch.rand(count, 2, 2, generator=generator) * 1.4 - 0.2) * torch.tensor([size[1], size[0]])
    images = torch.randint(batch, (count, 1), generator=generator)
    return torch.cat([images, corners.amin(1), corners.amax(1)], dim=1)


def maps(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loop(scores: Tensor, rois: Tensor, k: int, stride: int) -> list[list[list[list[set[tuple[int, int]]]]]]:
    """For each region, channel and bin the places of the map that it touches, as R-FCN's authors bound them."""

    def touched(low: float, high: float, i: int, length: int) -> range:
        start, end = (Fraction(math.floor(Fraction(side) + Fraction(1, 2)), stride) for side in (low, high))
        extent = max(end - start, Fraction(1, 10))
        first, behind = math.floor(start + i * extent / k), math.ceil(start + (i + 1) * extent / k)
        return range(min(max(first, 0), length), min(max(behind, 0), length))

    height, width = scores.shape[-2:]
    channels = scores.shape[1] // k**2
    return [
        [
            [
                [
                    {(y, x) for y in touched(y1, y2, i, height) for x in touched(x1, x2, j, width)}
                    for j in range(k)
                ]
                for i in range(k)
            ]
            for _ in range(channels)
        ]
        for _, x1, y1, x2, y2 in rois.tolist()
    ]  # fmt: skip


@pytest.mark.parametrize(("k", "stride"), [(7, 16), (3, 8), (1, 16), (2, 5)])
def test_it_is_the_slow_loop_forwards_and_backwards(k: int, stride: int) -> None:
    scores = maps(2, 2 * k * k, 5, 7).requires_grad_()
    rois = torch.cat([torch.tensor(STRANGE), random_rois(30, 2, (5 * stride, 7 * stride))])
    pooled = ps_roi_pool(scores, rois, k, stride)
    gradient = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    pooled.backward(gradient)
    expected, expected_gradient = torch.zeros_like(pooled), torch.zeros_like(scores)
    bins = loop(scores, rois, k, stride)
    filled = 0
    for n, c, i, j in torch.cartesian_prod(*(torch.arange(size) for size in pooled.shape)).tolist():
        image, channel = int(rois[n, 0]), c * k * k + i * k + j
        for y, x in (places := bins[n][c][i][j]):
            expected[n, c, i, j] += scores[image, channel, y, x].detach() / len(places)
            expected_gradient[image, channel, y, x] += gradient[n, c, i, j] / len(places)
        filled += bool(places)
    assert 0 < filled < pooled.numel()
    torch.testing.assert_close(pooled, expected)
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, expected_gradient)


@pytest.mark.parametrize("k", [7, 3])
def test_on_whole_places_it_is_torchvisions(k: int) -> None:
    """torchvision rounds boxes to places of the map, and its means leave out the last row and column, its gradients
    do not: for the means it gets one of each more."""
    scores = maps(2, 3 * k * k, 9, 12).float().requires_grad_()
    rois = random_rois(200, 2, (9, 12)).round()
    rois[:, 3:] = torch.maximum(rois[:, 3:], rois[:, 1:3] + 1)
    pooled = ps_roi_pool(scores, torch.cat([rois[:, :1], rois[:, 1:] * 16], dim=1), k, 16)
    theirs = torchvision.ops.ps_roi_pool(scores, rois, k, 1.0)
    padded = torchvision.ops.ps_roi_pool(F.pad(scores, (0, 1, 0, 1)), rois, k, 1.0)
    torch.testing.assert_close(pooled, padded, atol=1e-5, rtol=1e-5)
    gradient = torch.randn_like(pooled)
    (ours,) = torch.autograd.grad(pooled, scores, gradient)
    (their,) = torch.autograd.grad(theirs, scores, gradient)
    torch.testing.assert_close(ours, their, atol=1e-5, rtol=1e-5)
    assert (rois[:, 1] < 0).any() and (rois[:, 3] > 12).any() and their.abs().max() > 0.1


def test_no_regions() -> None:
    scores = maps(2, 18, 4, 4).requires_grad_()
    pooled = ps_roi_pool(scores, torch.zeros(0, 5), 3, 16)
    assert pooled.shape == (0, 2, 3, 3)
    pooled.sum().backward()
    assert scores.grad is not None and not scores.grad.any()


def test_an_image_without_regions_among_others() -> None:
    scores, rois = maps(3, 4, 4, 4), torch.tensor([[2.0, 0.0, 0.0, 64.0, 64.0], [0.0, 0.0, 0.0, 64.0, 64.0]])
    pooled = ps_roi_pool(scores, rois, 1, 16)
    torch.testing.assert_close(pooled.flatten(1), scores[[2, 0]].mean((2, 3)))


def test_half_precision_gives_half_precision_of_the_same() -> None:
    scores, rois = maps(1, 49 * 2, 40, 60), random_rois(50, 1, (640, 960))
    for kind in (torch.bfloat16, torch.float16):
        rounded = scores.to(kind)
        pooled = ps_roi_pool(rounded, rois, 7, 16)
        assert pooled.dtype == kind
        torch.testing.assert_close(pooled, ps_roi_pool(rounded.double(), rois, 7, 16).to(kind))


def test_large_maps_lose_nothing_to_the_running_sums() -> None:
    scores = maps(1, 1, 200, 300) + 1000
    roi = torch.tensor([[0.0, 298 * 8, 198 * 8, 299 * 8, 199 * 8]])
    assert ps_roi_pool(scores.float(), roi, 1, 8).item() == pytest.approx(scores[0, 0, 198, 298].item(), rel=1e-7)
