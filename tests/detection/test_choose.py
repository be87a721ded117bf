"""The choice of final boxes against a plain loop, and soft suppression."""

import pytest
import torch
from torch import Tensor

from perpixel.detection import choose

SIZE = (60, 80)
KIND = torch.float64


def random_output(seed: int, groups: int, classes: int = 3, regions: int = 80) -> dict[str, object]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(regions, 2, 2, generator=generator, dtype=KIND) * torch.tensor([90, 70]) - 5
    image = torch.randint(2, (regions, 1), generator=generator).to(KIND)
    return {
        "features": [torch.zeros(3, 1, 1, 1)],
        "proposals": torch.cat([image, corners.amin(1), corners.amax(1)], dim=1),
        "class_logits": 2 * torch.randn(regions, classes + 1, generator=generator, dtype=KIND),
        "box_deltas": torch.randn(regions, groups, 4, generator=generator, dtype=KIND),
    }


def iou(a: list[float], b: list[float]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common)


def moved(roi: list[float], deltas: list[float]) -> list[float]:
    """By hand: a tenth of the size a unit of place, e to a fifth of a unit of size; then cut to the image."""
    (_, x1, y1, x2, y2), (dx, dy, dw, dh) = roi, deltas
    w, h = x2 - x1, y2 - y1
    x, y = (x1 + x2) / 2 + dx / 10 * w, (y1 + y2) / 2 + dy / 10 * h
    w, h = w * 2.718281828459045 ** (dw / 5), h * 2.718281828459045 ** (dh / 5)
    cut = ((x - w / 2, SIZE[1]), (y - h / 2, SIZE[0]), (x + w / 2, SIZE[1]), (y + h / 2, SIZE[0]))
    return [min(max(value, 0.0), float(limit)) for value, limit in cut]


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("most", [5, 1000])
def test_it_is_a_plain_loop(groups: int, most: int) -> None:
    output = random_output(0, groups)
    rois, logits, deltas = (output[k] for k in ("proposals", "class_logits", "box_deltas"))
    assert isinstance(rois, Tensor) and isinstance(logits, Tensor) and isinstance(deltas, Tensor)
    found = choose(output, SIZE, least_score=0.1, iou=0.4, most=most)
    assert len(found) == 3 and len(found[2]) == 0
    for image in range(2):
        kept: list[tuple[float, int, list[float]]] = []
        for label in range(3):
            candidates = []
            for n in range(len(rois)):
                score = (logits[n, label + 1] - logits[n].logsumexp(0)).exp().item()
                box = moved(rois[n].tolist(), deltas[n, 0 if groups == 1 else label].tolist())
                thick = box[2] - box[0] > 0.01 and box[3] - box[1] > 0.01
                if rois[n, 0] == image and score > 0.1 and thick:
                    candidates.append((score, label, box))
            mine: list[tuple[float, int, list[float]]] = []
            for candidate in sorted(candidates, reverse=True):
                if all(iou(candidate[2], other[2]) <= 0.4 for other in mine):
                    mine.append(candidate)
            assert len(mine) < len(candidates)
            kept += mine
        kept = sorted(kept, reverse=True)[:most]
        assert found[image].scores.tolist() == pytest.approx([score for score, _, _ in kept])
        assert found[image].classes.tolist() == [label for _, label, _ in kept]
        torch.testing.assert_close(found[image].boxes, torch.tensor([box for _, _, box in kept], dtype=KIND))


def test_a_region_may_be_two_objects() -> None:
    output = {
        "features": [torch.zeros(1, 1, 1, 1)],
        "proposals": torch.tensor([[0.0, 10, 10, 30, 30]]),
        "class_logits": torch.tensor([[0.0, 3.0, 3.0]]),
        "box_deltas": torch.zeros(1, 1, 4),
    }
    (found,) = choose(output, SIZE)
    assert found.boxes.tolist() == [[10, 10, 30, 30]] * 2 and sorted(found.classes.tolist()) == [0, 1]


@pytest.mark.parametrize(("soft", "second"), [(None, None), ("linear", 1 - 2 / 3), ("gaussian", 0.41111229)])
def test_soft_suppression_lowers_what_overlaps_within_a_class(soft: str | None, second: float | None) -> None:
    """Two boxes of IoU 2/3 of one class, which gaussian lowers by e^(-(2/3)^2 / 0.5), and one of another class."""
    score = 0.9
    logits = torch.tensor([[0.0, 8.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]])
    output = {
        "features": [torch.zeros(1, 1, 1, 1)],
        "proposals": torch.tensor([[0.0, 0, 0, 30, 10], [0.0, 0, 0, 20, 10], [0.0, 0, 0, 20, 10]]),
        "class_logits": logits,
        "box_deltas": torch.zeros(3, 1, 4),
    }
    (found,) = choose(output, SIZE, iou=0.5, soft=soft)  # type: ignore[arg-type]
    probabilities = logits.softmax(dim=1)
    assert found.scores[:2].tolist() == pytest.approx([probabilities[0, 1].item(), probabilities[2, 2].item()])
    assert len(found) == (2 if second is None else 3)
    if second is not None:
        assert found.scores[2].item() == pytest.approx(second * probabilities[1, 1].item(), rel=1e-5)
        assert found.classes.tolist() == [0, 1, 0] and score > 0
