"""What `convert data` writes is read back to the same labels, whatever the form; nothing is left half-written."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools.coco import COCO

from perpixel.core.errors import UserError
from perpixel.core.reporter import Silent
from perpixel.data.folders import open_dataset
from perpixel.data.pairs import read_labels, read_pair
from perpixel.data.samples import Dataset
from perpixel.data.writing import FORMS, write_dataset

NAMES = ("road", "sky", "no")


def made(root: Path, masks: dict[str, np.ndarray]) -> Dataset:
    """Masks whose values are 10, 20, 30, and 0 for ignore."""
    for name, labels in masks.items():
        for folder in ("images", "masks"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 255, (*labels.shape, 3), np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{name}.png")
        Image.fromarray(np.array([10, 20, 30, 0], np.uint8)[labels]).save(root / "masks" / f"{name}.png")
    classes = "".join(f"- {{name: {n}, values: [{10 * (i + 1)}]}}\n" for i, n in enumerate(NAMES))
    (root / "dataset.yaml").write_text(f"classes:\n{classes}ignore: [0]\n")
    return open_dataset(root)


def labels_of(dataset: Dataset) -> dict[str, np.ndarray]:
    assert dataset.taxonomy is not None
    found = [(split, s) for split, samples in dataset.splits.items() for s in samples]
    return {f"{split}/{s.image.stem}": read_labels(s, dataset.taxonomy) for split, s in found}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)))
@pytest.mark.parametrize("form", FORMS)
def test_labels_come_back(tmp_path_factory: pytest.TempPathFactory, form: str, labels: np.ndarray) -> None:
    root = tmp_path_factory.mktemp("there")
    dataset = made(root / "data", {"train/a": labels, "val/a": labels.T, "test/b.c": labels[::-1]})
    assert write_dataset(dataset, root / "out", form) == {"train": 1, "val": 1, "test": 1}
    again = open_dataset(root / "out")
    assert again.classes is not None and again.classes.names == NAMES
    found = labels_of(again)
    for name, expected in (("train/a", labels), ("val/a", labels.T), ("test/b.c", labels[::-1])):
        np.testing.assert_array_equal(found[name], np.where(expected == 3, 255, expected))
    sample = again.split("train")[0]
    np.testing.assert_array_equal(
        read_pair(sample, again.classes)[0], np.asarray(Image.open(root / "data/images/train/a.png"))
    )


def test_coco_says_the_same_to_pycocotools(tmp_path: Path) -> None:
    labels = np.array([[0, 0, 3], [1, 1, 2]], np.uint8)
    write_dataset(made(tmp_path / "data", {"train/a": labels, "val/b": labels}), tmp_path / "out", "coco")
    coco = COCO(tmp_path / "out/annotations/stuff_train.json")
    masks = {coco.cats[a["category_id"]]["name"]: coco.annToMask(a) for a in coco.anns.values()}
    assert masks.keys() == set(NAMES)
    for k, name in enumerate(NAMES):
        np.testing.assert_array_equal(masks[name], labels == k)
    assert sorted(
        a["area"] for a in json.loads((tmp_path / "out/annotations/stuff_val.json").read_text())["annotations"]
    ) == [1, 2, 2]


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    dataset = made(tmp_path / "data", {"train/a": np.zeros((2, 2), np.uint8), "val/b": np.ones((2, 2), np.uint8)})
    with pytest.raises(UserError, match=r'got "cocoo".*Did you mean "coco"'):
        write_dataset(dataset, tmp_path / "out", "cocoo")
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        write_dataset(dataset, tmp_path / "there")
    Image.fromarray(np.full((2, 2), 77, np.uint8)).save(tmp_path / "data/masks/val/b.png")
    with pytest.raises(UserError, match=r"val/b\.png.*77"):
        write_dataset(dataset, tmp_path / "out")

    class Full(Silent):
        def step(self, done: int, total: int, text: str = "") -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_dataset(dataset, tmp_path / "out", report=Full())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "there"]
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["mine.txt"]
