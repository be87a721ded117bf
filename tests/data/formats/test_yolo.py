"""YOLO's text files: polygons in parts of the picture, by the class's number."""

import sys
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from annotated import art, drawn, picture

SQUARE = "0.125 0.1666667 0.5 0.1666667 0.5 0.6666667 0.125 0.6666667"


def yolo(root: Path, text: str, name: str = "data.yaml", names: str = "[cat, dog]") -> Path:
    picture(root / "train/images/a.png")
    picture(root / "valid/images/b.png")
    (root / "train/labels").mkdir(parents=True, exist_ok=True)
    (root / "valid/labels").mkdir(parents=True, exist_ok=True)
    (root / "train/labels/a.txt").write_text(text)
    (root / name).write_text(f"train: ../train/images\nval: ../valid/images\nnc: 2\nnames: {names}\n")
    return root


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yaml"])
def test_polygons_with_their_outline_and_the_smaller_counts(tmp_path: Path, name: str) -> None:
    yolo(tmp_path, f"1 {SQUARE}\n0 0.125 0.1666667 0.25 0.1666667 0.25 0.3333334 0.125 0.3333334\n", name)
    for data in (tmp_path, tmp_path / name):
        dataset = open_dataset(data)
        assert dataset.layout == "yolo" and {s: len(x) for s, x in dataset.splits.items()} == {"train": 1, "val": 1}
        assert dataset.classes is not None and dataset.classes.names == ("background", "cat", "dog")
        expected = art("........ .##22... .##22... .2222... .2222... ........")
        np.testing.assert_array_equal(drawn(dataset)["a.png"], expected)
        assert not drawn(dataset)["b.png"].any()
    assert "1 pictures have no text file: they are taken as background, as YOLO does" in dataset.notes


def test_names_by_number_and_boxes_are_counted(tmp_path: Path) -> None:
    dataset = open_dataset(yolo(tmp_path, f"0 0.5 0.5 0.1 0.1\n1 {SQUARE}", names="\n  1: no\n  0: 007"))
    assert dataset.classes is not None and dataset.classes.names == ("background", "007", "no")
    assert "1 lines of labels are boxes, not polygons, and are not drawn" in dataset.notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"2 {SQUARE}", r"a.txt, line 1: class 2 is none of the 2 classes"),
        (f"0 {SQUARE}\n0.5 {SQUARE}", r"a.txt, line 2: class 0.5"),
        ("0 10 20 30 40 50 60", "in parts of the picture"),
        ("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", "in parts of the picture"),
        ("0 0.1 0.2 0.3 x 0.5 0.6", "expected numbers"),
        ("0 0.1 0.2 0.3 0.4 0.5 inf", "expected numbers"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_dataset(yolo(tmp_path, text))


def test_names_at_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'data\.yaml: "names" must be a list'):
        open_dataset(yolo(tmp_path, "", names="{1: cat}"))
