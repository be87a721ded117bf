"""Boxes move with their image: a painted box is transformed as a mask, and its box is where the moved box is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from perpixel.data.transforms import Augmentation, View, draw_view
from perpixel.detection.moves import augment_objects, move_objects
from perpixel.detection.objects import Objects

STILL = Augmentation((64, 96), scale=(1, 1), max_class_share=1, flip=False, jitter=0)
SIZE = (80, 100)


def painted(box: tuple[int, int, int, int]) -> Tensor:
    mask = torch.zeros(SIZE, dtype=torch.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


def box_of(mask: Tensor) -> list[float] | None:
    rows, columns = (mask == 1).any(1).nonzero().flatten(), (mask == 1).any(0).nonzero().flatten()
    if not len(rows):
        return None
    return [float(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]


@pytest.mark.parametrize(
    ("how", "tolerance"),
    [
        (STILL, 0.0),
        (replace(STILL, flip=True, flip_vertical=True), 0.0),
        (replace(STILL, crop=(200, 160)), 0.0),
        (replace(STILL, scale=(0.5, 2.0)), 1.0),
        (replace(STILL, scale=(0.5, 2.0), flip=True, flip_vertical=True), 1.0),
        (replace(STILL, crop=(150, 150), rotate=180), 1.5),
        (replace(STILL, elastic=4.0), 1.0),
        (replace(STILL, crop=(150, 150), scale=(0.5, 1.0), flip=True, flip_vertical=True, rotate=30), 1.5),
    ],
    ids=["crop", "flips", "pad", "scale", "scale and flips", "rotate", "elastic", "all"],
)
def test_a_painted_box_stays_under_its_box(how: Augmentation, tolerance: float) -> None:
    shown = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, y = int(rng.integers(0, 70)), int(rng.integers(0, 50))
        box = (x, y, x + int(rng.integers(8, 30)), y + int(rng.integers(8, 30)))
        mask = painted(box)
        _, moved, objects = augment_objects(
            mask[None].float(), mask, Objects.of([box], [3]), how, np.random.default_rng(seed)
        )
        found = box_of(moved)
        if found is None or min(found[2] - found[0], found[3] - found[1]) < 3:
            continue  # a crumb at the border may be gone in one and not in the other
        shown += 1
        assert objects.classes.tolist() == [3]
        assert np.abs(np.subtract(objects.boxes[0].tolist(), found)).max() <= tolerance + 1e-3, seed
    assert shown >= 20


def test_the_view_is_the_one_that_augment_draws() -> None:
    how, mask = replace(STILL, scale=(0.5, 2.0), flip=True), painted((10, 10, 60, 60))
    view = draw_view(mask, how, np.random.default_rng(5))
    _, _, objects = augment_objects(
        mask[None], mask, Objects.of([[10, 10, 60, 60]], [0]), how, np.random.default_rng(5)
    )
    assert torch.equal(objects.boxes, move_objects(Objects.of([[10, 10, 60, 60]], [0]), view).boxes)


def test_what_is_hardly_shown_is_difficult_and_what_is_not_shown_is_gone() -> None:
    view = View((0, 50, 80, 50), (80, 50), (0, 0), (80, 50))
    objects = Objects.of([[0, 0, 40, 40], [40, 0, 52, 10], [40, 0, 60, 10]], [0, 1, 2], crowd=[False, False, True])
    moved = move_objects(objects, view)
    assert moved.boxes.tolist() == [[0, 0, 2, 10], [0, 0, 10, 10]]
    assert (moved.classes.tolist(), moved.difficult.tolist(), moved.crowd.tolist()) == (
        [1, 2],
        [True, False],
        [False, True],
    )


def test_no_objects_move_too() -> None:
    mask = painted((0, 0, 5, 5))
    how = replace(STILL, rotate=20, elastic=3.0, flip=True)
    assert len(augment_objects(mask[None], mask, Objects.of([], []), how, np.random.default_rng(0))[2]) == 0
