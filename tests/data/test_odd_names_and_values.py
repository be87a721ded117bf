"""Negative mask values mean what is said of them; names that are no UTF-8 or too long are a line each, and cost no other file."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.georeference import read_georeference
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.measured import identity
from perpixel.data.statistics import survey_training
from perpixel.labels import Taxonomy


def test_a_negative_value_to_ignore_occurs_in_signed_masks_alone() -> None:
    taxonomy = Taxonomy.of(["a", "b"], ignore=(-1,))
    assert taxonomy.encode(np.array([[0, 1, 1]], np.uint8)).tolist() == [[0, 1, 1]]
    assert taxonomy.encode(np.array([[0, -1, 1]], np.int16)).tolist() == [[0, 255, 1]]
    assert taxonomy.encode(np.array([[1, 0]], np.uint16)).tolist() == [[1, 0]]
    with pytest.raises(UserError, match="mask value 255"):
        taxonomy.encode(np.array([[255]], np.uint8))


def test_a_negative_class() -> None:
    taxonomy = Taxonomy.of(["a", "b"], values=[(-3,), (7,)])
    assert taxonomy.encode(np.array([[7, -3, 255]], np.int32)).tolist() == [[1, 0, 255]]
    assert taxonomy.encode(np.array([[7, 7]], np.uint8)).tolist() == [[1, 1]]
    with pytest.raises(UserError, match=r"m\.png: mask value 0 belongs to none of the 2 classes"):
        taxonomy.encode(np.array([[7, 0]], np.uint8), "m.png")


@pytest.mark.parametrize("signed", [False, True])
def test_training_and_check_agree_on_them(tmp_path: Path, signed: bool) -> None:
    folder = flat(tmp_path)
    (folder / "dataset.yaml").write_text("classes: [{name: a, value: 0}, {name: b, value: 1}]\nignore: -1\n")
    if signed:
        for file in (folder / "masks").iterdir():
            mask = np.asarray(Image.open(file)).astype(np.int16)
            mask[0] = -1
            tifffile.imwrite(file.with_suffix(".tif"), mask)
            file.unlink()
    checked = check_dataset(folder)
    facts = survey_training(open_dataset(folder), "train", "val")
    assert checked.defects == ()
    assert checked.ignored == (pytest.approx(1 / 16) if signed else 0)
    assert (facts.counts.total - facts.counts.labelled) / facts.counts.total == checked.ignored


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_name_that_is_no_utf8_is_a_defect_and_a_line(tmp_path: Path) -> None:
    folder = flat(tmp_path)
    for kind in ("images", "masks"):
        os.rename(folder / kind / "0.png", os.fsencode(folder / kind) + b"/\xff\xfe.png")
    dataset = open_dataset(folder)
    assert len(identity(dataset)) == 64
    assert sum(map(len, dataset.splits.values())) == 5
    (defect,) = [f for f in check_dataset(folder).defects if f.text == "files that cannot be read"]
    assert all("the name is not UTF-8; rename the file" in line for line in defect.files)
    with pytest.raises(UserError, match="the name is not UTF-8; rename the file"):
        survey_training(open_dataset(folder), "train", "val")


def test_a_name_without_room_for_that_of_a_world_file(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 251 + ".png")
    Image.new("L", (4, 4)).save(file)
    assert read_georeference(file) is None


def flat(root: Path, count: int = 5) -> Path:
    """`count` pairs of 16 x 16 pixels whose masks hold 0 and 1."""
    mask = np.repeat(np.array([0, 1], np.uint8), 8)[None].repeat(16, 0)
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    return root
