"""Which mask belongs to which image: by their names, or not at all."""

import sys
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from one_pixel import everything, make


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/x.jpg", "masks/x_mask.gif"),
        ("images/x.png", "masks/x_L.png"),
        ("images/x.png", "labels/x_P.png"),
        ("images/x.bmp", "masks/x_GT.bmp"),
        ("images/x.jpg", "masks/x_segmentation.png"),
        ("images/x.tif", "masks/x-label.tif"),
        ("images/x_image.png", "masks/x_mask.png"),
        ("images/x_sat.jpg", "masks/x.png"),
        ("images/image_0001.png", "masks/gt_0001.png"),
        ("images/img1.png", "masks/mask1.png"),
        ("images/a/x.png", "masks/a/x_mask.png"),
        ("images/x.jpg", "annotations/trimaps/x.png"),
        ("images/x.y.jpg", "masks/x.y.tif"),
        ("images/x.JPG", "masks/x.PNG"),
        ("images/a_mask.png", "masks/a_mask.png"),
    ],
)
def test_names_that_make_a_pair(tmp_path: Path, image: str, mask: str) -> None:
    make(tmp_path, image, mask)
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {(image, mask)}
    assert dataset.unpaired == ()


def test_the_same_stem_goes_before_a_stripped_one(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/a_l.png", "masks/a.png", "masks/a_l.png")
    assert everything(open_dataset(tmp_path)) == {
        ("images/a.png", "masks/a.png"),
        ("images/a_l.png", "masks/a_l.png"),
    }


def test_a_mask_that_has_its_image_is_no_other_images(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/a_rgb.png", "masks/a.png")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("images/a.png", "masks/a.png")}
    assert [p.name for p in dataset.unpaired] == ["a_rgb.png"]


def test_two_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/a_mask.png", "masks/a_gt.png")
    with pytest.raises(UserError, match=r"a\.png: a_gt\.png and a_mask\.png could both be its mask"):
        open_dataset(tmp_path)


def test_one_mask_of_two_images_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "images/a_rgb.png", "images/a_sat.png", "masks/a_mask.png")
    with pytest.raises(UserError, match=r"a_mask\.png: could be the mask of a_rgb\.png and a_sat\.png"):
        open_dataset(tmp_path)


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/a.jpg", "masks/a.png")
    with pytest.raises(UserError, match=r"a\.png and a\.jpg have the same stem"):
        open_dataset(tmp_path)


def test_files_without_partner_are_told(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("images/a.png", "masks/a.png")}
    assert [p.relative_to(tmp_path).as_posix() for p in dataset.unpaired] == ["images/b.png", "masks/c.png"]


def test_a_jpeg_and_a_png_together(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.png", "b.jpg", "b.png", "c.jpg")
    (tmp_path / "a.xml").write_text("<annotation/>")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("a.jpg", "a.png"), ("b.jpg", "b.png")}
    assert [p.name for p in dataset.unpaired] == ["c.jpg"]


@pytest.mark.parametrize(
    ("image", "mask"), [("{}_sat.jpg", "{}_mask.png"), ("{}.bmp", "{}_anno.bmp"), ("{}.tif", "{}_m.tif")]
)
def test_image_and_mask_together_by_their_endings(tmp_path: Path, image: str, mask: str) -> None:
    make(tmp_path, *(name.format(i) for i in range(5) for name in (image, mask)))
    assert everything(open_dataset(tmp_path)) == {(image.format(i), mask.format(i)) for i in range(5)}
