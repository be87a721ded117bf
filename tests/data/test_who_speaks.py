"""Where nobody names the classes, the masks of train and val tell them, in training, in `check` and in Python alike."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.mask_source import MaskFile
from perpixel.data.naming import Names
from perpixel.data.samples import Sample
from perpixel.data.statistics import survey_training

HELD = {"train": (0, 1), "val": (0, 1, 2), "test": (0, 1, 2, 3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three splits of two pairs each, whose masks hold one value more from split to split."""
    for split, values in HELD.items():
        mask = np.repeat(np.array(values, np.uint8), 12)[None].repeat(30, 0)
        for kind, array in (("images", np.full((*mask.shape, 3), 90, np.uint8)), ("masks", mask)):
            (tmp_path / kind / split).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(array).save(tmp_path / kind / split / f"{split}{i}.png")
    return tmp_path


def test_train_and_val_speak_and_test_does_not(folder: Path) -> None:
    values = ((0,), (1,), (2,))
    dataset = open_dataset(folder)
    trained, checked = survey_training(dataset, "train", "val").taxonomy, check_dataset(folder).meaning.taxonomy
    for taxonomy in (trained, checked, dataset.taxonomy):
        assert taxonomy is not None and taxonomy.values == values


def test_a_value_of_test_alone_is_a_defect(folder: Path) -> None:
    found = {f.text: f.files for f in check_dataset(folder).defects}
    files = tuple(f"masks/test/test{i}.png: value 3 on 360 pixels" for i in range(2))
    assert found == {"mask values that no class names": files}


def test_a_value_in_more_than_two_of_a_hundred_masks_is_meant(tmp_path: Path) -> None:
    """Of 60 masks one holds a 77, a slip; four hold one pixel of 2 each, a class that is small and rare."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(60):
        mask = np.zeros((16, 16), np.uint8)
        mask[:, 8:], mask[3, 3] = 1, {0: 2, 1: 2, 2: 2, 3: 2, 4: 77}.get(i, 0)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
        Image.fromarray(np.full((16, 16, 3), i, np.uint8)).save(tmp_path / "images" / f"{i}.png")
    checked = check_dataset(tmp_path)
    assert checked.meaning.taxonomy is not None and checked.meaning.taxonomy.values == ((0,), (1,), (2,))
    assert [f.files for f in checked.defects] == [("masks/4.png: value 77 on 1 pixel",)]


@pytest.mark.parametrize(
    ("line", "name"),
    [("scan 2 1", "scan 2"), ("scan 3", "scan"), ("scan 2, left", "scan 2"), ("scan\t2", "scan")],
)
def test_the_longest_beginning_of_a_line_that_is_a_name_counts(line: str, name: str) -> None:
    names = Names.of([Sample(n, Path(f"{n}.png"), MaskFile(Path(f"{n}_mask.png"))) for n in ("scan", "scan 2")])
    found = names.find_in_line(line)
    assert found is not None and found.name == name
