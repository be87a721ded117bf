"""Objects and detections: how they are made, picked, cut to the image and scaled."""

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.detection import Detections, Objects


def test_what_is_not_said_is_neither_difficult_nor_crowd() -> None:
    objects = Objects.of([[0, 0, 4, 4], [1, 1, 3, 3]], [2, 0])
    assert objects.boxes.dtype == torch.float32 and objects.classes.dtype == torch.int64
    assert objects.difficult.tolist() == objects.crowd.tolist() == [False, False]
    assert len(Objects.of([], [])) == 0 and Objects.of([], []).boxes.shape == (0, 4)


def test_lengths_must_agree() -> None:
    with pytest.raises(UserError, match=r"as many classes and marks as boxes, 1; got \[1, 2\]"):
        Objects.of([[0, 0, 4, 4]], [1, 2])
    with pytest.raises(UserError, match="as many classes and marks as boxes, 1"):
        Objects.of([[0, 0, 4, 4]], [1], difficult=[True, False])


def test_clear_ones_have_a_size_and_no_mark() -> None:
    boxes = [[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 0, 4], [5, 5, 4, 9], [0, 0, 0.5, 0.5]]
    marks = [[i == n for i in range(6)] for n in (1, 2)]
    assert Objects.of(boxes, [0] * 6, *marks).clear.tolist() == [True, False, False, False, False, True]
    picked = Objects.of(boxes, range(6), *marks).pick(torch.tensor([2, 0]))
    assert picked.classes.tolist() == [2, 0] and picked.crowd.tolist() == [True, False]


def test_cut_to_the_image() -> None:
    objects = Objects.of(
        [[2, 2, 6, 6], [-3, 0, 1, 8], [-1, 0, 1, 8], [7, 9, 20, 11], [9, 0, 12, 3], [-5, -5, 20, 20], [4, 4, 4, 6]],
        range(7),
        crowd=[False] * 5 + [True] + [False],
    )
    cut = objects.inside((10, 8))  # 8 wide, 10 high
    assert cut.classes.tolist() == [0, 1, 2, 3, 5]
    assert cut.boxes.tolist() == [[2, 2, 6, 6], [0, 0, 1, 8], [0, 0, 1, 8], [7, 9, 8, 10], [0, 0, 8, 10]]
    assert cut.difficult.tolist() == [False, False, False, True, True]  # shares 1, 1/4, 1/2, 1/26, 80/625
    assert cut.crowd.tolist() == [False] * 4 + [True]
    assert len(Objects.of([], []).inside((8, 8))) == 0


def test_detections_on_a_larger_image() -> None:
    found = Detections(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([0.5]), torch.tensor([0])).scaled(2.0, 10.0)
    assert found.boxes.tolist() == [[10, 4, 30, 8]]
    assert len(found.to("cpu")) == 1
