"""What is taken from torchvision does what the papers say: RoI pooling, RoI align and NMS against slow loops."""

import itertools
import math

import pytest
import torch
import torchvision.ops
from torch import Tensor

SIZE = (6, 8)
ROIS = torch.tensor(
    [
        [0, 10.0, 5.0, 90.0, 70.0],
        [1, 40.0, 40.0, 40.0, 40.0],  # no size
        [0, 300.0, 300.0, 320.0, 330.0],  # outside
        [1, -40.0, -20.0, 60.0, 30.0],
        [0, 0.0, 0.0, 127.0, 95.0],
    ],
    dtype=torch.float64,
)


def values(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_roi_pool_takes_the_maximum_of_the_places_of_a_bin() -> None:
    """Girshick, "Fast R-CNN", ICCV 2015, section 2.1, and its code: corners are places, both of them inside."""
    maps, k = values(2, 2, *SIZE).requires_grad_(), 3
    found = torchvision.ops.roi_pool(maps, ROIS, k, 1 / 16)
    expected, gradient = torch.zeros_like(found), torch.zeros_like(maps)
    for n, c, i, j in itertools.product(range(len(ROIS)), range(2), range(k), range(k)):
        image, x1, y1, x2, y2 = int(ROIS[n, 0]), *(away(v / 16) for v in ROIS[n, 1:].tolist())
        h, w = max(y2 - y1 + 1, 1) / k, max(x2 - x1 + 1, 1) / k
        rows = range(max(y1 + math.floor(i * h), 0), min(y1 + math.ceil((i + 1) * h), SIZE[0]))
        columns = range(max(x1 + math.floor(j * w), 0), min(x1 + math.ceil((j + 1) * w), SIZE[1]))
        places = [(maps[image, c, y, x].item(), y, x) for y in rows for x in columns]
        if places:
            best, y, x = max(places)
            expected[n, c, i, j] = best
            gradient[image, c, y, x] += n + 1
    torch.testing.assert_close(found, expected)
    found.backward((1.0 + torch.arange(len(ROIS), dtype=torch.float64)).view(-1, 1, 1, 1).expand_as(found))
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad, gradient)


def away(value: float) -> int:
    """Rounded as C rounds: a half goes away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def test_roi_align_is_the_mean_of_bilinear_points() -> None:
    """He et al., "Mask R-CNN", ICCV 2017, section 3: no rounding anywhere."""
    maps, k, samples = values(2, 2, *SIZE).requires_grad_(), 2, 2
    found = torchvision.ops.roi_align(maps, ROIS, k, 1 / 16, sampling_ratio=samples, aligned=False)
    expected = torch.zeros_like(found)
    for n, i, j in itertools.product(range(len(ROIS)), range(k), range(k)):
        image, (x1, y1, x2, y2) = int(ROIS[n, 0]), (ROIS[n, 1:] / 16).tolist()
        h, w = max(y2 - y1, 1.0) / k, max(x2 - x1, 1.0) / k
        for down, right in itertools.product(range(samples), repeat=2):
            y, x = y1 + (i + (down + 0.5) / samples) * h, x1 + (j + (right + 0.5) / samples) * w
            if -1 <= y <= SIZE[0] and -1 <= x <= SIZE[1]:
                expected[n, :, i, j] += bilinear(maps[image].detach(), y, x) / samples**2
    torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(lambda m: torchvision.ops.roi_align(m, ROIS, k, 1 / 16, samples), (maps,))


def bilinear(maps: Tensor, y: float, x: float) -> Tensor:
    y, x = min(max(y, 0), SIZE[0] - 1), min(max(x, 0), SIZE[1] - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, SIZE[0] - 1), min(left + 1, SIZE[1] - 1)
    b, r = y - top, x - left
    above = maps[:, top, left] * (1 - r) + maps[:, top, right] * r
    return above * (1 - b) + (maps[:, bottom, left] * (1 - r) + maps[:, bottom, right] * r) * b


@pytest.mark.parametrize("seed", range(3))
def test_nms_keeps_what_no_better_one_covers(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(60, 2, 2, generator=generator) * 40
    boxes, scores = torch.cat([corners.amin(1), corners.amax(1)], dim=1), torch.rand(60, generator=generator)
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(torchvision.ops.box_iou(boxes[i : i + 1], boxes[j : j + 1]).item() <= 0.5 for j in kept):
            kept.append(i)
    assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == kept
    assert 5 < len(kept) < 60


def test_no_boxes() -> None:
    none = torch.zeros(0, 5)
    assert torchvision.ops.roi_pool(values(1, 2, 4, 4).float(), none, 3).shape == (0, 2, 3, 3)
    assert torchvision.ops.roi_align(values(1, 2, 4, 4).float(), none, 3).shape == (0, 2, 3, 3)
    assert torchvision.ops.nms(none[:, 1:], none[:, 0], 0.5).tolist() == []
