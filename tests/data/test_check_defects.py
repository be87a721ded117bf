"""Every defect that check knows, made by hand in a folder of its own."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from perpixel.data.check import check_dataset
from perpixel.data.starter import starter

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from clean_folder import NAMES, blobs, flat, photo, save, the_one


def break_truncated(root: Path) -> None:
    data = (root / "images/p3.png").read_bytes()
    (root / "images/p3.png").write_bytes(data[: len(data) // 2])


def break_empty(root: Path) -> None:
    (root / "masks/p3.png").write_bytes(b"")


def break_not_an_image(root: Path) -> None:
    (root / "images/p3.png").write_text("hello")


def break_size(root: Path) -> None:
    save(blobs(3, size=(40, 61)), root / "masks/p3.png")


def break_exif(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "images/p3.png").unlink()
    Image.fromarray(photo(3)).save(root / "images/p3.jpg", exif=exif)


def break_no_mask(root: Path) -> None:
    save(photo(99), root / "images/p3b.png")


def break_no_image(root: Path) -> None:
    save(blobs(99), root / "masks/p3b.png")


def break_value(root: Path) -> None:
    mask = blobs(3)
    mask[0, :7] = 7
    save(mask, root / "masks/p3.png")


def break_smoothed(root: Path) -> None:
    Image.fromarray(blobs(3)).filter(ImageFilter.GaussianBlur(2)).save(root / "masks/p3.png")


def break_jpeg(root: Path) -> None:
    (root / "masks/p3.png").unlink()
    Image.fromarray(blobs(3)).save(root / "masks/p3.jpg", quality=60)


def break_channels(root: Path) -> None:
    import tifffile

    (root / "images/p3.png").unlink()
    tifffile.imwrite(root / "images/p3.tif", photo(3, channels=5), photometric="minisblack", planarconfig="contig")


def break_copy(root: Path) -> None:
    Image.open(root / "images/p3.png").save(root / "images/p7.png", compress_level=0)


def break_lists(root: Path) -> None:
    (root / "val.txt").write_text("p6\np7\np3\n")


def break_test_list(root: Path) -> None:
    (root / "test.txt").write_text("p3\n")


def break_lost_entry(root: Path) -> None:
    (root / "train.txt").write_text("p0\np1\np2\np3.x\n")


def break_empty_list(root: Path) -> None:
    (root / "val.txt").write_text("\n")


DEFECTS: list[tuple[Callable[[Path], None], str, str]] = [
    (break_truncated, "cannot be read", "images/p3.png"),
    (break_empty, "cannot be read", "masks/p3.png: the file is empty"),
    (break_not_an_image, "cannot be read", "images/p3.png: not an image"),
    (break_size, "another size", "masks/p3.png: 40x61, its image images/p3.png: 40x60"),
    (break_exif, "EXIF", "masks/p3.png: 40x60, its image images/p3.jpg: 60x40 after its EXIF orientation (6"),
    (break_no_mask, "without a mask", "images/p3b.png"),
    (break_no_image, "masks without an image", "masks/p3b.png"),
    (break_value, "no class names", "masks/p3.png: value 7 on 7 pixels"),
    (break_smoothed, "between the class values", "masks/p3.png"),
    (break_jpeg, "between the class values", "masks/p3.jpg"),
    (break_channels, "other channels than the usual 3", "images/p3.tif: 5 channels"),
    (break_copy, "in two splits", "images/p3.png (train) = images/p7.png (val)"),
    (break_lists, "in two splits", "images/p3.png: train and val"),
    (break_test_list, "in two splits", "images/p3.png: train and test"),
    (break_lost_entry, "list entries", "train.txt: p3.x"),
    (break_empty_list, "without a single pair", "split val"),
]


@pytest.mark.parametrize(("spoil", "text", "file"), DEFECTS, ids=[d[0].__name__ for d in DEFECTS])
def test_one_defect_is_found_and_named(spoil: Callable[[Path], None], text: str, file: str, tmp_path: Path) -> None:
    spoil(flat(tmp_path))
    defect = the_one(check_dataset(tmp_path).defects)
    assert text in defect.text
    assert len(defect.files) == 1
    assert file in defect.files[0]
    assert defect.fix


def test_count_of_smoothed_pixels(tmp_path: Path) -> None:
    break_smoothed(flat(tmp_path))
    values = np.asarray(Image.open(tmp_path / "masks/p3.png"))
    between = int(((values > 0) & (values < 255)).sum())
    assert the_one(check_dataset(tmp_path).defects).text.startswith(f"{between} pixels lie between")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_all_masks_smoothed(suffix: str, tmp_path: Path) -> None:
    flat(tmp_path)
    for i, name in enumerate(NAMES):
        (tmp_path / f"masks/{name}.png").unlink()
        large = Image.fromarray(blobs(i)).resize((150, 100), Image.Resampling.NEAREST)
        large.resize((60, 40), Image.Resampling.BICUBIC).save(tmp_path / f"masks/{name}{suffix}")
    checked = check_dataset(tmp_path)
    defect = the_one(checked.defects)
    assert "between the class values" in defect.text
    assert len(defect.files) == 8
    assert "128" in defect.fix
    assert [row.name for row in checked.classes] == ["background", "foreground"]


def test_photos_instead_of_masks(tmp_path: Path) -> None:
    flat(tmp_path)
    for i, name in enumerate(NAMES):
        save(photo(i + 50), tmp_path / f"masks/{name}.png")
    checked = check_dataset(tmp_path)
    assert "too many to be classes" in the_one(checked.defects).text
    assert starter(checked) is None


def test_all_of_a_split_ignored(tmp_path: Path) -> None:
    flat(tmp_path, values=(0, 1))
    for name in NAMES[6:]:
        save(np.full((40, 60), 255, np.uint8), tmp_path / f"masks/{name}.png")
    assert "split val is ignored" in the_one(check_dataset(tmp_path).defects).text


def test_split_folder_without_masks(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "train", "val", "test")):
        save(photo(i), tmp_path / "images" / split / f"{i}.png")
        if split == "train":
            save(blobs(i), tmp_path / "masks" / split / f"{i}.png")
    defect = the_one(check_dataset(tmp_path).defects)
    assert defect.files == ("images/val/2.png",)  # those of test may go without


def test_segnet_lists_overlap(tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        save(photo(seed), tmp_path / split / f"{seed}.png")
        save(blobs(seed, tuple(range(11))), tmp_path / f"{split}annot" / f"{seed}.png")
        (tmp_path / f"{split}.txt").write_text(f"/SegNet/x/{split}/{seed}.png /SegNet/x/{split}annot/{seed}.png\n")
    assert check_dataset(tmp_path).defects == ()
    (tmp_path / "test.txt").write_text("/SegNet/x/train/1.png /SegNet/x/trainannot/1.png\n")
    assert the_one(check_dataset(tmp_path).defects).files == ("train.txt and test.txt: /SegNet/x/train/1",)


def test_windows_of_one_image_are_no_copies(tmp_path: Path) -> None:
    flat(tmp_path)
    save(blobs(0, (0, 255, 0, 255)), tmp_path / "masks/p0.png")
    entry = {"train": [{"stem": "p0", "window": [0, 0, 40, 30]}], "val": [{"stem": "p0", "window": [0, 30, 40, 30]}]}
    classes = [{"name": "a", "values": [0]}, {"name": "b", "values": [255]}]
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes, "splits": entry}))
    assert check_dataset(tmp_path).defects == ()
    entry["val"][0]["window"] = [0, 29, 40, 30]
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes, "splits": entry}))
    assert the_one(check_dataset(tmp_path).defects).files == ("images/p0.png: train and val",)
