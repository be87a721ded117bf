"""Cityscapes of which only the masks of instances are there: their classes are read out of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.pairs import read_pair
from perpixel.labels import CITYSCAPES


def test_the_thousands_are_the_class(tmp_path: Path) -> None:
    # 7 road, 24 person, 26 car, 33 bicycle, 3 out of roi: labels 0, 11, 13, 18 and ignored (cityscapesScripts, labels.py)
    masks = {"train": [[7, 24001, 24013], [26000, 33999, 3]], "val": [[7, 24, 3], [26, 33, 7]]}
    truth = {"train": [[0, 11, 11], [13, 18, 255]], "val": [[0, 11, 255], [13, 18, 0]]}
    for split, values in masks.items():
        for top in ("leftImg8bit", "gtFine"):
            (tmp_path / top / split / "city").mkdir(parents=True)
        dtype = np.uint16 if split == "train" else np.uint8
        image = np.full((2, 3, 3), 90 if split == "train" else 60, np.uint8)
        Image.fromarray(image).save(tmp_path / f"leftImg8bit/{split}/city/a_leftImg8bit.png")
        Image.fromarray(np.array(values, dtype)).save(tmp_path / f"gtFine/{split}/city/a_gtFine_instanceIds.png")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == CITYSCAPES
    for split, labels in truth.items():
        assert read_pair(dataset.split(split)[0], CITYSCAPES)[1].tolist() == labels
    assert not check_dataset(tmp_path).defects


def test_the_masks_of_classes_come_first(tmp_path: Path) -> None:
    for top in ("leftImg8bit", "gtFine"):
        (tmp_path / top / "train" / "city").mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(tmp_path / "leftImg8bit/train/city/a_leftImg8bit.png")
    for kind in ("instanceIds", "labelIds"):
        Image.new("L", (3, 2), 7).save(tmp_path / f"gtFine/train/city/a_gtFine_{kind}.png")
    masks = [s.mask_path for s in open_dataset(tmp_path).split("all")]
    assert [m.name for m in masks if m] == ["a_gtFine_labelIds.png"]
