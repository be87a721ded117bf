"""What stands in a mask: values as YAML writes them, ids in one channel, a slip of the pen."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.starter import starter

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from little_folders import TEN, flat, image, splits


def test_values_as_they_are_written_in_yaml(tmp_path: Path) -> None:
    flat(tmp_path, ["8", "010", "no", "1.10", "null", "1_000"])
    text = "images: images\nmasks: masks\nname: 1.10\nclasses: [no, {name: 007, values: 1}]\n"
    (tmp_path / "dataset.yaml").write_text(text + "splits: {train: [010, no, 1.10], val: [null, {stem: 1_000}]}\n")
    dataset = open_dataset(tmp_path)
    assert splits(dataset) == {"train": ["010", "no", "1.10"], "val": ["null", "1_000"]}
    assert dataset.classes is not None and dataset.classes.names == ("no", "007")
    assert dataset.name == "1.10"


def test_a_starter_for_ids_in_one_channel_has_colours_that_can_be_seen(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    for i in range(10):
        ids = np.resize(np.array([0, 1, 2], np.uint8), (16, 20))
        Image.fromarray(np.dstack([ids * 0, ids, ids * 0])).save(tmp_path / f"masks/{i:02}.png")
    classes = yaml.safe_load(starter(check_dataset(tmp_path)) or "")["classes"]
    assert [c["values"] for c in classes] == [[[0, i, 0]] for i in range(3)]
    assert [c["colour"] for c in classes] == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]


@pytest.mark.parametrize(("masks", "classes"), [(1, 2), (4, None)])
def test_a_value_of_two_masks_in_a_hundred_is_no_class(tmp_path: Path, masks: int, classes: int | None) -> None:
    """Of 40 masks, 7 stands in one pixel of 1 of them (a slip), or of 4 (10 %: who knows)."""
    flat(tmp_path, [f"{i:02}" for i in range(40)])
    for i in range(40):
        drawn = np.kron(np.array([[0, 1], [1, 0]], np.uint8), np.ones((20, 30), np.uint8))
        if i < masks:
            drawn[5, 5] = 7
        Image.fromarray(drawn).save(tmp_path / f"masks/{i:02}.png")
        image(tmp_path / f"images/{i:02}.png", i, (40, 60))
    found = check_dataset(tmp_path).meaning.taxonomy
    assert (found and found.num_classes) == classes
