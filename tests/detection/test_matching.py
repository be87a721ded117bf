"""Labels of anchors and regions against a plain loop; what is difficult, crowded, without size or very much."""

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher

from perpixel.detection import Objects, matching
from perpixel.detection.matching import label_anchors, label_regions, sample


def random_boxes(count: int, seed: int, extent: float = 60.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * extent
    return torch.cat([corners.amin(1), corners.amax(1) + 1], dim=1)


def iou(a: list[float], b: list[float]) -> float:
    common = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    union = area(a) + area(b) - common
    return common / union if union else 0.0


def area(box: list[float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def inside(a: list[float], b: list[float]) -> float:
    common = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return common / area(a) if area(a) else 0.0


def some_objects(seed: int) -> Objects:
    return Objects.of(
        random_boxes(8, seed),
        [0, 1, 2, 0, 1, 2, 0, 1],
        difficult=[False, False, True, False, False, False, False, False],
        crowd=[False, True, False, False, False, False, False, False],
    )


@pytest.mark.parametrize("seed", range(4))
def test_regions_against_a_loop(seed: int) -> None:
    boxes, objects = random_boxes(200, 10 + seed), some_objects(seed)
    labels, wanted = label_regions(boxes, objects, foreground=0.5, least_background=0.1)
    truth = list(zip(objects.boxes.tolist(), objects.classes.tolist(), strict=True))
    clear = [truth[i] for i in range(8) if i not in (1, 2)]
    for n, box in enumerate(boxes.tolist()):
        overlap, label, best = max((iou(box, true), label, true) for true, label in clear)
        if overlap >= 0.5:
            assert labels[n] == label + 1 and wanted[n].tolist() == best
        elif overlap < 0.1 or any(inside(box, truth[i][0]) >= 0.5 for i in (1, 2)):
            assert labels[n] == -1
        else:
            assert labels[n] == 0
    assert all((labels == label).any() for label in (-1, 0)) and (labels > 0).sum() > 3


@pytest.mark.parametrize("seed", range(4))
def test_anchors_against_a_loop_and_torchvision(seed: int) -> None:
    anchors, objects = random_boxes(200, 20 + seed), some_objects(seed)
    labels, wanted = label_anchors(anchors, objects, 0.3, 0.7)
    clear = objects.pick(objects.clear)
    table = [[iou(anchor, box) for box in clear.boxes.tolist()] for anchor in anchors.tolist()]
    best = [max(row[i] for row in table) for i in range(len(clear))]
    for n, row in enumerate(table):
        if max(row) >= 0.7 or any(value == pytest.approx(best[i]) for i, value in enumerate(row)):
            assert labels[n] == 1 and wanted[n].tolist() == clear.boxes[row.index(max(row))].tolist()
        elif max(row) >= 0.3 or any(inside(anchors[n].tolist(), objects.boxes[i].tolist()) >= 0.5 for i in (1, 2)):
            assert labels[n] == -1
        else:
            assert labels[n] == 0
    theirs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(torch.tensor(table).T)
    assert ((theirs >= 0) == (labels == 1)).all()
    assert (labels == 1).sum() >= 3 and (labels == 0).sum() > 20


def test_an_object_that_no_anchor_touches_makes_no_anchor_an_object() -> None:
    labels, _ = label_anchors(random_boxes(50, 1), Objects.of([[500.0, 500, 520, 520]], [0]))
    assert (labels == 0).all()


@pytest.mark.parametrize("label", [label_anchors, label_regions])
def test_in_parts_it_is_the_same(label: object, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, objects = random_boxes(300, 5), some_objects(3)
    whole = label(boxes, objects)
    monkeypatch.setattr(matching, "MOST_OVERLAPS", 40)
    parts = label(boxes, objects)
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("label", [label_anchors, label_regions])
def test_nothing_to_find_is_background_but_for_crowds(label: object) -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [40, 40, 60, 60]])
    for objects in (
        Objects.of([], []),
        Objects.of([[40.0, 40, 60, 60]], [0], crowd=[True]),
        Objects.of([[40.0, 40, 60, 60]], [0], difficult=[True]),
        Objects.of([[45.0, 40, 45, 60]], [0]),  # without width
    ):
        labels, wanted = label(boxes, objects)
        left_out = objects.crowd.any() or objects.difficult.any()
        assert labels.tolist() == [0, -1 if left_out else 0]
        assert wanted.shape == (2, 4)
        assert label(boxes[:0], objects)[0].shape == (0,)


def test_ten_thousand_objects() -> None:
    objects = Objects.of(random_boxes(10_000, 1, extent=2000), torch.zeros(10_000, dtype=torch.int64))
    labels, _ = label_anchors(random_boxes(1_000, 2, extent=2000), objects)
    assert labels.shape == (1_000,) and (labels == 1).any()


def test_a_sample_keeps_to_its_numbers() -> None:
    labels = torch.tensor([1] * 30 + [0] * 50 + [-1] * 20)[
        torch.randperm(100, generator=torch.Generator().manual_seed(0))
    ]
    for count, share, objects, background in (
        (40, 0.25, 10, 30),
        (80, 0.5, 30, 50),
        (200, 0.5, 30, 50),
        (8, 0.0, 0, 8),
    ):
        chosen = sample(labels, count, share)
        assert len(chosen.unique()) == len(chosen)
        assert ((labels[chosen] == 1).sum(), (labels[chosen] == 0).sum()) == (objects, background)
    first, again = (sample(labels, 10, 0.5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    seen = torch.cat([sample(labels, 10, 0.5) for _ in range(100)]).unique()
    assert len(seen) == 80
