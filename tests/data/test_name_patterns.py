"""Patterns and globs in a dataset.yaml pair the names of a publisher, and check proposes them."""

import sys
from pathlib import Path

import pytest
import yaml

from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.starter import starter

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from little_folders import flat, image, mask


def drive(root: Path) -> Path:
    for split, first in (("training", 21), ("test", 1)):
        for i in range(first, first + 4):
            image(root / f"{split}/images/{i:02}_{split}.tif", i)
            mask(root / f"{split}/1st_manual/{i:02}_manual1.gif", (0, 255))
            mask(root / f"{split}/mask/{i:02}_{split}_mask.gif", (0, 255))
    return root


def test_a_pattern_describes_names_of_a_publisher_and_check_proposes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"more than one folder may hold the masks: mask/.*1st_manual/"):
        open_dataset(drive(tmp_path))
    (tmp_path / "dataset.yaml").write_text("masks: 1st_manual\n")
    checked = check_dataset(tmp_path)
    patterns = {"images": "{split}/images/{id}_{split}.tif", "masks": "{split}/1st_manual/{id}_manual1.gif"}
    assert f"images: {patterns['images']} and masks: {patterns['masks']}" in checked.defects[0].fix
    text = starter(checked)
    assert text is not None and yaml.safe_load(text) == patterns
    (tmp_path / "dataset.yaml").write_text(text)
    dataset = open_dataset(tmp_path)
    assert sorted(s.name for s in dataset.split("all")) == sorted(f"{i:02}" for i in (*range(21, 25), *range(1, 5)))
    assert {s.name for s in dataset.split("test")} == {"01", "02", "03", "04"}
    assert all(s.mask_path and s.mask_path.name == f"{s.name}_manual1.gif" for s in dataset.split("all"))
    assert dataset.unpaired == ()
    assert dataset.notes == ("8 pictures in no pair: test/mask/ (4), training/mask/ (4)",)


def test_masks_of_any_name_inside_folders_of_splits(tmp_path: Path) -> None:
    for split in ("training", "test"):
        for i in range(3):
            image(tmp_path / f"{split}/images/{split}{i}.png", i)
            mask(tmp_path / f"{split}/1st_manual/{split}{i}.png")
            mask(tmp_path / f"{split}/mask/{split}{i}.png")
    (tmp_path / "dataset.yaml").write_text("masks: 1st_manual\n")
    dataset = open_dataset(tmp_path)
    assert {s.mask_path.parent.name for s in dataset.split("all") if s.mask_path} == {"1st_manual"}
    assert set(dataset.splits) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{id}_sat.jpg", "{id}_truth.png"),
        ("*_sat.jpg", "*_sat.png"),
        ("**/{id}_sat.jpg", "**/{id}_truth.png"),
        ("images/{city}/{id}_sat.jpg", "labels/{city}/{id}_truth.png"),
        ("images/{id}_sat.jpg", "labels"),
    ],
)
def test_patterns_and_globs(tmp_path: Path, images: str, masks: str) -> None:
    for i in range(4):
        folders = ("images/rome", "labels/rome") if "/" in images and "**" not in images else ("", "")
        ending = "sat" if masks in ("*_sat.png",) else "mask" if masks == "labels" else "truth"
        image(tmp_path / folders[0] / f"{i}_sat.jpg", i)
        mask(tmp_path / folders[1] / f"{i}_{ending}.png")
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"images": images, "masks": masks}))
    dataset = open_dataset(tmp_path)
    assert len(dataset.split("all")) == 4
    for s in dataset.split("all"):
        assert s.mask_path is not None and s.mask_path.name[0] == s.image.name[0]


def test_a_pattern_that_fits_nothing_shows_what_is_there(tmp_path: Path) -> None:
    flat(tmp_path, ["a", "b"])
    (tmp_path / "dataset.yaml").write_text('{images: "images/{id}_x.png", masks: "masks/{id}.png"}')
    with pytest.raises(UserError, match=r"no file fits .images: images/\{id\}_x\.png.*images/a\.png"):
        open_dataset(tmp_path)


def test_two_files_that_fill_a_pattern_alike_are_refused(tmp_path: Path) -> None:
    flat(tmp_path, ["a", "b"])
    mask(tmp_path / "masks/a_2.png")
    (tmp_path / "dataset.yaml").write_text('{images: "images/{id}.png", masks: "masks/?????*"}')
    mask(tmp_path / "masks/b.bmp")
    (tmp_path / "dataset.yaml").write_text('{images: "images/{id}.png", masks: "masks/{id}.*"}')
    with pytest.raises(UserError, match="fill the pattern alike"):
        open_dataset(tmp_path)
