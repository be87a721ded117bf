"""Check on clean folders, in which it must find nothing, and on the real data."""

import sys
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset, overview
from perpixel.data.folders import open_dataset
from perpixel.data.starter import starter

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from clean_folder import NAMES, blobs, flat, photo, save


def test_clean_binary_folder(tmp_path: Path) -> None:
    checked = check_dataset(flat(tmp_path))
    assert checked.defects == ()
    assert checked.warnings == ()
    assert [(row.name, row.values) for row in checked.classes] == [("background", "0"), ("foreground", "255")]
    foreground = sum((blobs(i) == 255).sum() for i in range(8)) / (8 * 40 * 60)
    assert checked.classes[1].pixels == pytest.approx(foreground)
    assert checked.classes[1].images == 1.0
    words = dict(overview(checked))
    assert words["pairs"] == "train 6, val 2"
    assert words["sizes"].startswith("all 40x60")
    assert words["images"] == "3 channels uint8"


def test_shares_leave_ignored_pixels_out(tmp_path: Path) -> None:
    flat(tmp_path)
    for i, name in enumerate(NAMES):
        mask = np.zeros((40, 60), np.uint8)
        mask[:10] = 255
        mask[10:20] = 1 if i < 4 else 0
        save(mask, tmp_path / "masks" / f"{name}.png")
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert checked.ignored == pytest.approx(0.25)
    assert [row.pixels for row in checked.classes] == pytest.approx([1 - 40 / 240, 40 / 240])
    assert [row.images for row in checked.classes] == [1.0, 0.5]


def test_train_and_test_list_alone(tmp_path: Path) -> None:
    flat(tmp_path, lists=False)
    (tmp_path / "train.txt").write_text("\n".join(NAMES[:5]))
    (tmp_path / "test.txt").write_text("\n".join(NAMES[5:]))
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert {s.name for split in ("train", "val") for s in checked.dataset.splits[split]} == set(NAMES[:5])
    assert {s.name for s in checked.dataset.splits["test"]} == set(NAMES[5:])


def test_names_with_dots_are_not_confused(tmp_path: Path) -> None:
    for i in range(4):
        save(photo(i), tmp_path / f"images/frame.{i}.png")
        save(blobs(i), tmp_path / f"masks/frame.{i}.png")
    (tmp_path / "train.txt").write_text("frame.0\nframe.1\n")
    (tmp_path / "val.txt").write_text("frame.2\nframe.3\n")
    assert check_dataset(tmp_path).defects == ()


def test_grey_and_rgb_images_match(tmp_path: Path) -> None:
    flat(tmp_path)
    save(photo(3, channels=1), tmp_path / "images/p3.png")
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert dict(overview(checked))["images"] == "3 channels uint8 (7), 1 channel uint8 (1)"


def test_tiny_masks_are_not_taken_for_smoothed(tmp_path: Path) -> None:
    for i in range(4):
        save(photo(i, (4, 5)), tmp_path / f"images/{i}.png")
        mask = np.random.default_rng(i).choice([3, 40, 41, 90, 200, 251], (4, 5)).astype(np.uint8)
        save(mask, tmp_path / f"masks/{i}.png")
    assert check_dataset(tmp_path).defects == ()


def test_no_layout(tmp_path: Path) -> None:
    save(photo(0), tmp_path / "a.jpg")
    with pytest.raises(UserError, match="Looked for images/"):
        check_dataset(tmp_path)


def test_camvid(real_data: Path) -> None:
    checked = check_dataset(real_data / "camvid")
    assert checked.defects == ()
    assert len(checked.classes) == 11
    assert all(row.images > 0.5 for row in checked.classes)
    assert {s: len(v) for s, v in checked.facts.items()} == {"train": 367, "val": 101}
    assert 0.03 < checked.ignored < 0.04


CLEAN = [("isbi2012", 24), ("nuclei", 120), ("formats/labelme/data_dataset_voc", 3)]


@pytest.mark.parametrize(("name", "pairs"), CLEAN)
def test_clean_real_sets(name: str, pairs: int, real_data: Path) -> None:
    checked = check_dataset(real_data / name)
    assert checked.defects == ()
    assert sum(map(len, checked.facts.values())) == pairs


def test_facades_with_the_starter(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "labelmefacade"
    for part in ("images", "labels"):
        (tmp_path / part).symlink_to(source / part)
    for part in ("train.txt", "val.txt"):
        (tmp_path / part).write_text("\n".join((source / part).read_text().split()[:20]))
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert checked.meaning.needs_names
    assert len(checked.classes) == 9
    (tmp_path / "dataset.yaml").write_text(starter(checked) or "")
    taxonomy = open_dataset(tmp_path).taxonomy
    assert taxonomy is not None
    assert taxonomy.num_classes == 9


def test_nasty_files_get_one_line_each(real_data: Path, tmp_path: Path) -> None:
    files = sorted(p for p in (real_data / "nasty").iterdir() if p.suffix not in (".txt", ".md"))
    assert len(files) == 23
    for file in files:
        image = tmp_path / "images" / f"{file.stem}{file.suffix}"
        image.parent.mkdir(exist_ok=True)
        image.symlink_to(file)
        save(blobs(1), tmp_path / f"masks/{file.stem}.png")
    unreadable = next(d for d in check_dataset(tmp_path).defects if "cannot be read" in d.text)
    named = {line.split(":")[0].removeprefix("images/") for line in unreadable.files}
    assert {"truncated_image.png", "truncated_jpeg.jpg", "zero_byte.png", "decompression_bomb.gif"} <= named
    assert len(named) == len(unreadable.files)
    assert all("\n" not in line for line in unreadable.files)
