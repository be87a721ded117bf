"""Boxes from masks, by hand and against a plain search."""

from collections import deque
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.core.image import read_mask
from perpixel.detection.boxes import boxes_of_values, objects_of_cityscapes, objects_of_instances, objects_of_regions


def flooded(labels: np.ndarray, label: int) -> list[list[int]]:
    """The boxes of the regions of a label, by a search from pixel to pixel, eight neighbours each."""
    left = {(int(r), int(c)) for r, c in np.argwhere(labels == label)}
    boxes = []
    for start in sorted(left):
        if start not in left:
            continue
        left.remove(start)
        queue, region = deque([start]), [start]
        while queue:
            r, c = queue.popleft()
            for near in [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    queue.append(near)
                    region.append(near)
        rows, columns = zip(*region, strict=True)
        boxes.append([min(columns), min(rows), max(columns) + 1, max(rows) + 1])
    return boxes


@pytest.mark.parametrize("seed", range(4))
def test_regions_are_those_of_a_search(seed: int) -> None:
    labels = np.random.default_rng(seed).choice([0, 1, 2, 255], (24, 30), p=[0.6, 0.2, 0.15, 0.05]).astype(np.uint8)
    found = objects_of_regions(labels, classes=[2, 1])
    expected = [(0, b) for b in flooded(labels, 2)] + [(1, b) for b in flooded(labels, 1)]
    assert list(zip(found.classes.tolist(), found.boxes.tolist(), strict=True)) == expected
    assert len(expected) > 20


def test_what_is_small_or_thin_is_difficult() -> None:
    labels = np.zeros((20, 40), np.uint8)
    labels[0:4, 0:4], labels[0:3, 10:15], labels[0:2, 20:30], labels[10:20, 5:35] = 1, 1, 1, 1
    found = objects_of_regions(labels, [1], least_pixels=16, least_side=3)
    assert found.boxes.tolist() == [[0, 0, 4, 4], [10, 0, 15, 3], [20, 0, 30, 2], [5, 10, 35, 20]]
    assert found.difficult.tolist() == [False, True, True, False]
    assert not found.crowd.any()


def test_a_label_is_one_class_only() -> None:
    with pytest.raises(UserError, match="one class of objects only; got 1, 1"):
        objects_of_regions(np.zeros((2, 2), np.uint8), [1, 1])


def test_nothing_in_a_mask() -> None:
    empty = np.zeros((5, 6), np.uint8)
    for found in (
        objects_of_regions(empty, [1, 2]),
        objects_of_regions(np.full((5, 6), 255, np.uint8), [1]),
        objects_of_regions(empty, []),
        objects_of_instances(empty),
        objects_of_cityscapes(empty.astype(np.int32), {26: 0}),
    ):
        assert (len(found), found.boxes.shape) == (0, (0, 4))


def test_instances_may_touch_and_be_in_parts_and_number_more_than_a_byte() -> None:
    ids = np.zeros((10, 20), np.uint16)
    ids[2:8, 0:5], ids[2:8, 5:10], ids[0:5, 15:18], ids[8:10, 18:20] = 1, 40_000, 300, 300
    found = objects_of_instances(ids, least_pixels=1, least_side=1)
    assert found.boxes.tolist() == [[0, 2, 5, 8], [15, 0, 20, 10], [5, 2, 10, 8]]  # by ids: 1, 300, 40000
    assert found.classes.tolist() == [0, 0, 0]


def test_an_instance_has_the_class_of_most_of_its_pixels() -> None:
    ids = np.repeat(np.array([[1, 2, 3, 4, 255]], np.uint8), 4, axis=0).repeat(4, axis=1)
    labels = (
        np.array([[7, 7, 7, 5], [255, 255, 255, 5], [9] * 4, [255] * 4, [7] * 4], np.uint8)
        .reshape(1, 20)
        .repeat(4, axis=0)
    )
    found = objects_of_instances(ids, labels, classes=[5, 7], void=(0, 255))
    assert found.boxes.tolist() == [[0, 0, 4, 4], [4, 0, 8, 4]]  # 9 is no class, and all of 4 is ignored
    assert found.classes.tolist() == [1, 0]
    with pytest.raises(UserError, match="must be of one size"):
        objects_of_instances(ids, labels[:2], [5])


def test_cityscapes_has_groups() -> None:
    ids = np.full((12, 30), 7, np.int32)
    ids[0:6, 0:6], ids[0:6, 6:12], ids[0:6, 20:26], ids[8:9, 0:2], ids[8:12, 20:24] = 26000, 26001, 26, 24003, 33
    found = objects_of_cityscapes(ids, {26: 1, 24: 0})
    assert found.boxes.tolist() == [[0, 8, 2, 9], [0, 0, 6, 6], [6, 0, 12, 6], [20, 0, 26, 6]]
    assert found.classes.tolist() == [0, 1, 1, 1]
    assert found.difficult.tolist() == [True, False, False, False]
    assert found.crowd.tolist() == [False, False, False, True]


def test_ten_thousand_instances() -> None:
    ids = np.arange(1, 10_001).reshape(100, 100).repeat(3, axis=0).repeat(3, axis=1)
    found, pixels, _ = boxes_of_values(ids, range(1, 10_001))
    assert (found[1].tolist(), found[-1].tolist(), set(pixels.tolist())) == ([3, 0, 6, 3], [297, 297, 300, 300], {9})


def test_voc_photos(real_data: Path) -> None:
    """Both ways to name the classes of a VOC pair agree with the least and largest place of each id."""
    folder, seen = real_data / "formats/labelme/data_dataset_voc", 0
    for file in sorted((folder / "SegmentationObject").glob("*.png")):
        ids, labels = read_mask(file).values, read_mask(folder / "SegmentationClass" / file.name).values
        found = objects_of_instances(ids, labels, list(range(1, 21)), void=(0, 255))
        for box, value in zip(found.boxes.tolist(), [v for v in np.unique(ids) if v not in (0, 255)], strict=True):
            rows, columns = np.nonzero(ids == value)
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            seen += 1
    assert seen >= 6
