"""Tables of classes that tools write beside masks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.pairs import read_labels
from perpixel.data.samples import Dataset

COLOURS = [[0, 0, 0], [10, 20, 30], [200, 0, 0]]


def pairs(root: Path, mask: np.ndarray, images: str = "images/{}.png", masks: str = "masks/{}.png") -> Path:
    for name in ("a", "b", "c"):
        for place, array in ((images, np.random.default_rng(1).integers(0, 255, (2, 3, 3), np.uint8)), (masks, mask)):
            file = root / place.format(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(file)
    return root


def first_labels(dataset: Dataset) -> list[list[int]]:
    assert dataset.classes is not None
    return read_labels(dataset.split("train")[0], dataset.classes).tolist()


NUMBERS = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
IN_COLOUR = np.array(COLOURS, np.uint8)[NUMBERS]


def test_roboflow(tmp_path: Path) -> None:
    pairs(tmp_path, NUMBERS, "train/{}.jpg", "train/{}_mask.png")
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog, no\n")
    with pytest.raises(UserError, match=r'_classes\.csv: expected lines such as "1, cat"'):
        open_dataset(tmp_path)
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n2, dog\n1, cat\n")
    dataset = open_dataset(tmp_path)
    assert dataset.classes is not None and dataset.classes.names == ("background", "dog", "cat")
    assert first_labels(dataset) == [[0, 2, 1], [1, 1, 0]]


@pytest.mark.parametrize("mask", [NUMBERS, IN_COLOUR])
def test_datumaro_by_number_or_colour(tmp_path: Path, mask: np.ndarray) -> None:
    meta = {"label_map": {"0": "void", "1": "cat", "2": "dog"}, "segmentation_colors": COLOURS, "background_label": "0"}
    (tmp_path / "dataset_meta.json").write_text(json.dumps(meta))
    dataset = open_dataset(pairs(tmp_path, mask))
    assert dataset.classes is not None and dataset.classes.names == ("void", "cat", "dog")
    assert dataset.classes.colours == tuple(tuple(c) for c in COLOURS)
    assert first_labels(dataset) == NUMBERS.tolist()


@pytest.mark.parametrize("mask", [NUMBERS, IN_COLOUR])
def test_mapillary_ignores_what_is_not_evaluated(tmp_path: Path, mask: np.ndarray) -> None:
    rows = [("a--cat", "Cat", True), ("b--dog", "Dog", True), ("void--unlabeled", "Unlabeled", False)]
    labels = [{"name": n, "readable": r, "color": c, "evaluate": e} for (n, r, e), c in zip(rows, COLOURS, strict=True)]
    (tmp_path / "config.json").write_text(json.dumps({"version": "1.2", "labels": labels}))
    dataset = open_dataset(pairs(tmp_path, mask))
    assert dataset.classes is not None and dataset.classes.names == ("Cat", "Dog")
    assert first_labels(dataset) == [[0, 1, 255], [255, 255, 0]]


def test_other_files_of_these_names_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"labels": ["a", "b"], "model": 3}')
    (tmp_path / "_classes.csv").write_text("name,id\n")
    assert open_dataset(pairs(tmp_path, NUMBERS)).classes is None


def test_a_table_at_fault_is_one_line(tmp_path: Path) -> None:
    meta = {"label_map": {"0": "cat", "1": "cat"}}
    (tmp_path / "dataset_meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"dataset_meta\.json: no table of classes.*'cat'"):
        open_dataset(pairs(tmp_path, NUMBERS))
