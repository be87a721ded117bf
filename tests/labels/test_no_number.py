"""NaN in a mask of floats: a value like any other, which a data set may ignore by its name."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import read_mask
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.pairs import read_pair
from perpixel.data.starter import starter
from perpixel.labels import Taxonomy

LABELS = np.array([[0, 1, np.nan], [1, np.nan, 0], [0, 0, 1]], np.float32)


def folder(root: Path) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(5):
        Image.fromarray(np.full((3, 3, 3), 40 * i, np.uint8)).save(root / f"images/{i}.png")
        tifffile.imwrite(root / f"masks/{i}.tif", np.roll(LABELS, i, axis=0))
    return root


@pytest.mark.parametrize("ignore", ["nan", ".nan", "NaN", "[nan]", "[255, .nan]"])
def test_ignored_by_its_name(tmp_path: Path, ignore: str) -> None:
    root = folder(tmp_path)
    (root / "dataset.yaml").write_text(f"classes: [a, b]\nignore: {ignore}\n")
    dataset = open_dataset(root)
    assert dataset.classes is not None
    sample = next(s for s in dataset.split("all") if s.name == "0")
    assert read_pair(sample, dataset.classes)[1].tolist() == [[0, 1, 255], [1, 255, 0], [0, 0, 1]]
    assert not check_dataset(root).defects
    again = Taxonomy.from_dict(json.loads(json.dumps(dataset.classes.to_dict(), allow_nan=False)))
    assert again == dataset.classes


def test_not_ignored_unasked(tmp_path: Path) -> None:
    root = folder(tmp_path)
    with pytest.raises(UserError, match=r"mask value nan belongs to none of the 2 classes"):
        Taxonomy.of(["a", "b"]).encode(read_mask(root / "masks/0.tif"))
    checked = check_dataset(root)
    assert not checked.defects
    text = starter(checked)
    assert text is not None
    assert text.endswith("ignore: [nan]\n"), text
    (root / "dataset.yaml").write_text(text)
    assert open_dataset(root).classes == Taxonomy.from_dict({"classes": ["class 0", "class 1"], "ignore": "nan"})


def test_infinity_and_fractions_are_no_values(tmp_path: Path) -> None:
    for value in (np.inf, -np.inf, 0.5):
        np.save(tmp_path / "m.npy", np.array([[0, value, np.nan]], np.float32))
        with pytest.raises(UserError, match="a mask must hold whole numbers, this one holds"):
            read_mask(tmp_path / "m.npy")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_any_width(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "m.npy", LABELS.astype(dtype))
    labels = Taxonomy.from_dict({"classes": ["a", "b"], "ignore": "nan"}).encode(read_mask(tmp_path / "m.npy"))
    assert labels.tolist() == [[0, 1, 255], [1, 255, 0], [0, 0, 1]]


def test_a_class_cannot_be_nan() -> None:
    with pytest.raises(UserError, match="must be integers or colours"):
        Taxonomy.from_dict({"classes": [{"name": "a", "values": "nan"}, "b"]})
