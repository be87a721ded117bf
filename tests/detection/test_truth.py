"""Where the objects of a sample come from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.mask_source import MaskFile
from perpixel.data.samples import Sample
from perpixel.detection.truth import ObjectRule, instance_file, object_classes, read_objects
from perpixel.labels import Taxonomy

NAMES = Taxonomy.of(["background", "cell", "dust"])
RULE = ObjectRule(("cell",), least_pixels=1, least_side=1)


def sample(folder: Path, ids: np.ndarray, window: tuple[int, int, int, int] | None = None) -> Sample:
    """An image of 12 x 20 with a cell of two halves that touch, and its ids."""
    for kind in ("images", "masks", "ids"):
        (folder / kind / "train").mkdir(parents=True)
    mask = np.zeros((12, 20), np.uint8)
    mask[2:8, 3:15] = 1
    Image.fromarray(np.zeros((12, 20, 3), np.uint8)).save(folder / "images/train/a.png")
    Image.fromarray(mask).save(folder / "masks/train/a.png")
    Image.fromarray(ids).save(folder / "ids/train/a.tif")
    return Sample("a", folder / "images/train/a.png", MaskFile(folder / "masks/train/a.png"), window)


def halves(dtype: type = np.uint16) -> np.ndarray:
    ids = np.zeros((12, 20), dtype)
    ids[2:8, 3:9], ids[2:8, 9:15] = 255, 7
    return ids


def test_regions_or_instances(tmp_path: Path) -> None:
    one = sample(tmp_path, halves())
    image, regions = read_objects(one, NAMES, RULE)
    assert image.shape == (12, 20, 3)
    assert regions.boxes.tolist() == [[3, 2, 15, 8]]
    _, found = read_objects(one, NAMES, ObjectRule(("cell",), "ids", 1, 1))
    assert found.boxes.tolist() == [[9, 2, 15, 8], [3, 2, 9, 8]]  # by ids: 7, 255


def test_in_a_byte_255_is_the_border(tmp_path: Path) -> None:
    _, found = read_objects(sample(tmp_path, halves(np.uint8)), NAMES, ObjectRule(("cell",), "ids", 1, 1))
    assert found.boxes.tolist() == [[9, 2, 15, 8]]


def test_a_window_cuts_the_instances_too(tmp_path: Path) -> None:
    one = sample(tmp_path, halves(), window=(2, 9, 10, 11))
    image, found = read_objects(one, NAMES, ObjectRule(("cell",), "ids", 1, 1))
    assert image.shape == (10, 11, 3)
    assert found.boxes.tolist() == [[0, 0, 6, 6]]


def test_ids_in_colours_are_refused(tmp_path: Path) -> None:
    one = sample(tmp_path, halves())
    (tmp_path / "ids/train/a.tif").unlink()
    Image.fromarray(np.arange(720, dtype=np.uint8).reshape(12, 20, 3)).save(tmp_path / "ids/train/a.png")
    with pytest.raises(UserError, match="one number a pixel, this one has colours"):
        read_objects(one, NAMES, ObjectRule(("cell",), "ids"))


def test_no_instances_says_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'looked for its path with one folder.s name replaced by "other"'):
        instance_file(sample(tmp_path, halves()), "other")


def test_vocs_folders(real_data: Path) -> None:
    folder = real_data / "formats/labelme/data_dataset_voc"
    one = Sample("x", folder / "JPEGImages/2011_000003.jpg", MaskFile(folder / "SegmentationClass/2011_000003.png"))
    assert instance_file(one, "SegmentationObject") == folder / "SegmentationObject/2011_000003.png"


def test_cityscapes_files(tmp_path: Path) -> None:
    folder = tmp_path / "gtFine/val/city"
    folder.mkdir(parents=True)
    ids = np.full((12, 20), 7, np.int32)
    ids[2:8, 3:9], ids[2:8, 12:18] = 26001, 26
    labels = np.where(ids > 20, 1, 0).astype(np.uint8)
    Image.fromarray(labels).save(MaskFile(folder / "a_gtFine_labelIds.png"))
    Image.fromarray(ids.astype(np.uint16)).save(folder / "a_gtFine_instanceIds.png")
    Image.fromarray(np.zeros((12, 20, 3), np.uint8)).save(tmp_path / "a.png")
    one = Sample("a", tmp_path / "a.png", MaskFile(folder / "a_gtFine_labelIds.png"))
    _, found = read_objects(one, Taxonomy.of(["road", "car"]), ObjectRule(("car",), "cityscapes"))
    assert found.boxes.tolist() == [[3, 2, 9, 8], [12, 2, 18, 8]]
    assert found.crowd.tolist() == [False, True]


def test_which_classes_are_objects() -> None:
    assert object_classes(NAMES, None) == ("cell", "dust")
    assert object_classes(Taxonomy.of(["cell", "background"]), None) == ("cell",)
    assert object_classes(Taxonomy.of(["sky", "car"]), None) == ("car",)
    assert object_classes(NAMES, ["dust"]) == ("dust",)
    with pytest.raises(UserError, match="got none"):
        object_classes(Taxonomy.of(["background"]), None)
