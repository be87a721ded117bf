"""Folders of images and masks in every usual arrangement, and what is said where there is none."""

import sys
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.listing import list_images
from perpixel.data.samples import Sample, split_by_hash

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from one_pixel import everything, make, names, pairs


@pytest.mark.parametrize("masks", ["masks", "labels", "annotations", "gt", "ground_truth", "segmentation", "targets"])
@pytest.mark.parametrize("images", ["images", "Images", "img"])
def test_flat(tmp_path: Path, images: str, masks: str) -> None:
    folders = (images, masks.capitalize() if images == "Images" else masks)
    make(tmp_path, *(f"{folder}/{i}.png" for folder in folders for i in range(10)))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "flat"
    assert dataset.name == tmp_path.name
    assert dataset.taxonomy is None
    assert everything(dataset) == {(f"{folders[0]}/{i}.png", f"{folders[1]}/{i}.png") for i in range(10)}
    assert set(dataset.splits) == {"train", "val"}
    assert all(dataset.splits.values())
    assert dataset.unpaired == ()


@pytest.mark.parametrize("masks", ["masks", "labels", "annotations"])
@pytest.mark.parametrize(
    "split", [("train", "val", "test"), ("Training", "Validation", "Testing"), ("train", "valid", "test")]
)
def test_by_split(tmp_path: Path, masks: str, split: tuple[str, str, str]) -> None:
    for i, s in enumerate(split):
        make(tmp_path, f"images/{s}/a{i}.jpg", f"{masks}/{s}/a{i}.png")
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "folders by split"
    assert dataset.taxonomy is None
    assert pairs(dataset) == {
        name: {(f"images/{s}/a{i}.jpg", f"{masks}/{s}/a{i}.png")}
        for i, (name, s) in enumerate(zip(("train", "val", "test"), split, strict=True))
    }


def test_by_split_the_other_way_round(tmp_path: Path) -> None:
    make(tmp_path, "train/images/1.png", "train/masks/1.png", "valid/Images/2.png", "valid/Masks/2.png")
    assert pairs(open_dataset(tmp_path)) == {
        "train": {("train/images/1.png", "train/masks/1.png")},
        "val": {("valid/Images/2.png", "valid/Masks/2.png")},
    }


def test_by_split_with_masks_that_are_not_divided(tmp_path: Path) -> None:
    make(tmp_path, "images/train/1.png", "images/val/2.png", "masks/1.png", "masks/2.png", "masks/3.png")
    dataset = open_dataset(tmp_path)
    assert pairs(dataset) == {
        "train": {("images/train/1.png", "masks/1.png")},
        "val": {("images/val/2.png", "masks/2.png")},
    }
    assert [p.name for p in dataset.unpaired] == ["3.png"]


def test_by_split_without_val_takes_it_from_train(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/train/{i}.png" for f in ("images", "masks") for i in range(9)), "images/test/9.png")
    found = names(open_dataset(tmp_path))
    assert set(found) == {"train", "val"}
    assert sorted(found["train"] + found["val"]) == [str(i) for i in range(9)]
    assert found["val"]


def test_a_val_folder_without_masks_is_told(tmp_path: Path) -> None:
    make(tmp_path, "images/train/1.png", "masks/train/1.png", "images/val/2.png", "images/test/3.png")
    assert [p.name for p in open_dataset(tmp_path).unpaired] == ["2.png"], "images of test may lack masks"


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}_images", "{}_masks"),
        ("{}-images", "{}-masks"),
        ("images_{}", "masks_{}"),
        ("{}", "{}_labels"),
        ("{}_img", "{}_lab"),
        ("{}", "{}_annot"),
    ],
)
def test_folders_side_by_side(tmp_path: Path, images: str, masks: str) -> None:
    for i, split in enumerate(("train", "val")):
        make(tmp_path, f"{images.format(split)}/{i}.png", f"{masks.format(split)}/{i}.png")
    assert pairs(open_dataset(tmp_path)) == {
        split: {(f"{images.format(split)}/{i}.png", f"{masks.format(split)}/{i}.png")}
        for i, split in enumerate(("train", "val"))
    }


def test_pairs_together_by_split(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "valid", "test")):
        make(tmp_path, f"{split}/{i}.jpg", f"{split}/{i}_mask.png")
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n")
    found = pairs(open_dataset(tmp_path))
    assert list(found) == ["train", "val", "test"]
    assert found["val"] == {("valid/1.jpg", "valid/1_mask.png")}


def test_a_folder_of_photos_is_no_data_set(tmp_path: Path) -> None:
    make(tmp_path, *(f"{i}.jpg" for i in range(9)), "cat.jpg", "cat_mask.jpg")
    with pytest.raises(UserError, match="no known layout"):
        open_dataset(tmp_path)


def test_masks_below_the_images(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png")
    make(tmp_path, "images/masks/a.png", "images/masks/b.png")
    (tmp_path / "dataset.yaml").write_text("images: images\nmasks: images/masks\n")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("images/a.png", "images/masks/a.png"), ("images/b.png", "images/masks/b.png")}
    assert dataset.unpaired == ()


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/.b.png", "images/.cache/c.png", "masks/a.png", "masks/._a.png")
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "images" / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path / "images")] == ["a.png"]
    assert open_dataset(tmp_path).unpaired == ()


def test_masks_are_where_pictures_are(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "gt/a.png")
    (tmp_path / "labels").mkdir()  # a detector's boxes
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 1 1")
    assert everything(open_dataset(tmp_path)) == {("images/a.png", "gt/a.png")}


def test_lists_beside_flat_folders(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{s}.png" for f in ("images", "masks") for s in ("a", "b 1", "c.5", "d", "e")))
    (tmp_path / "train.txt").write_text("a\nb 1\nnot there\n")
    (tmp_path / "valid.txt").write_text("/data/images/c.5.png /data/masks/c.5.png\n")
    (tmp_path / "test.txt").write_text("d.png\n")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["a", "b 1"], "val": ["c.5"], "test": ["d"]}


def test_a_list_of_one_split_leaves_the_rest(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{i}.png" for f in ("images", "masks") for i in range(9)))
    (tmp_path / "val.txt").write_text("3\n4\n")
    assert names(open_dataset(tmp_path)) == {"train": ["0", "1", "2", "5", "6", "7", "8"], "val": ["3", "4"]}
    (tmp_path / "val.txt").rename(tmp_path / "test.txt")
    found = names(open_dataset(tmp_path))
    assert found["test"] == ["3", "4"]
    assert sorted(found["train"] + found["val"]) == ["0", "1", "2", "5", "6", "7", "8"]
    assert found["val"]


def test_the_split_by_hash_is_stable_when_samples_come() -> None:
    samples = [Sample(f"s{i}", Path(f"s{i}.png"), None) for i in range(1000)]
    few, many = split_by_hash(samples[:500]), split_by_hash(samples)
    assert {s.name for s in few["val"]} <= {s.name for s in many["val"]}
    assert {s.name for s in few["train"]} <= {s.name for s in many["train"]}
    assert 160 < len(many["val"]) < 240  # 200 are meant; the standard deviation of 1000 draws at 0.2 is 13
    assert split_by_hash(samples[::-1])["val"] == many["val"][::-1]
    # printf s7 | sha256sum begins with 13d28fed, s8 with 1cb7637b, the others of ten above 0.2 * 2^32 = 33333333
    assert [s.name for s in split_by_hash(samples[:10])["val"]] == ["s7", "s8"]
    assert [s.name for s in split_by_hash(samples[:1])["train"]] == ["s0"]
    assert split_by_hash([])["train"] == ()


def test_two_samples_are_one_and_one() -> None:
    for a in range(20):
        found = split_by_hash([Sample(f"{a}", Path("a"), None), Sample(f"{a}b", Path("b"), None)])
        assert (len(found["train"]), len(found["val"])) == (1, 1)


def test_a_wrong_split_names_the_nearest(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{s}/1.png" for f in ("images", "masks") for s in ("train", "val")))
    with pytest.raises(UserError, match=r'no split "vall"; there are: train \(1\), val \(1\)\. Did you mean "val"\?'):
        open_dataset(tmp_path).split("vall")
    with pytest.raises(UserError, match=r'no split "test"; .* The split "all" is all of them\.'):
        open_dataset(tmp_path).split("test")


def test_folders_of_which_nothing_fits_together(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/one.png")
    dataset = open_dataset(tmp_path)
    assert len(dataset.unpaired) == 2
    with pytest.raises(UserError, match=r"no image has a mask of its name, for example .*a\.png; run perpixel check"):
        dataset.split("train")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no known layout\. Looked for images/ \+ masks/.*It holds: nothing"):
        open_dataset(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(tmp_path / "none")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match="It holds: images, masks"):
        open_dataset(tmp_path)
