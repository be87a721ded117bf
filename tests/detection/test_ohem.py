"""Hard regions against a plain loop on random cases."""

import pytest
import torch

from perpixel.detection.ohem import hard_regions


def random_case(seed: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * 40
    boxes = torch.cat([corners.amin(1), corners.amax(1) + 0.5], dim=1)
    image = torch.randint(3, (count, 1), generator=generator)
    labels = torch.randint(-1, 3, (count,), generator=generator)
    return torch.rand(count, generator=generator), torch.cat([image, boxes], dim=1), labels


def iou(a: list[float], b: list[float]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0.7, 0.3, None])
@pytest.mark.parametrize("keep", [1, 10, 1000])
def test_it_is_a_plain_loop(seed: int, limit: float | None, keep: int) -> None:
    losses, rois, labels = random_case(seed)
    kept: list[int] = []
    for n in sorted(range(len(losses)), key=lambda n: -losses[n].item()):
        rivals = [m for m in kept if labels[m] == labels[n] and rois[m, 0] == rois[n, 0]]
        easy = limit is not None and any(iou(rois[m, 1:].tolist(), rois[n, 1:].tolist()) > limit for m in rivals)
        if labels[n] >= 0 and not easy:
            kept.append(n)
    assert hard_regions(losses, rois, labels, keep, limit).tolist() == kept[:keep]
    assert len(kept) < (labels >= 0).sum() or limit in (None, 0.7)


def test_nothing_to_choose_from() -> None:
    losses, rois, labels = random_case(0)
    for limit in (0.7, None):
        assert hard_regions(losses[:0], rois[:0], labels[:0], 8, limit).tolist() == []
        assert hard_regions(losses, rois, torch.full_like(labels, -1), 8, limit).tolist() == []


def test_all_losses_alike_keep_the_first() -> None:
    rois = torch.tensor([[0.0, 10 * n, 0, 10 * n + 9, 9] for n in range(6)])
    assert hard_regions(torch.ones(6), rois, torch.zeros(6, dtype=torch.int64), 3).tolist() == [0, 1, 2]
