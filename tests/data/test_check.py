"""Every fault that check knows, made by hand in a folder of its own, and clean folders in which it must find none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset, overview
from perpixel.data.faults import Finding
from perpixel.data.folders import open_dataset
from perpixel.data.starter import starter

Array = np.ndarray
NAMES = [f"p{i}" for i in range(8)]


def photo(seed: int, size: tuple[int, int] = (40, 60), channels: int = 3) -> Array:
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def blobs(seed: int, values: tuple[int, ...] = (0, 255), size: tuple[int, int] = (40, 60)) -> Array:
    """Rectangles of each value, at a place that depends on the seed."""
    mask = np.full(size, values[0], np.uint8)
    step = size[1] // len(values)
    for i, value in enumerate(values[1:], 1):
        mask[3 + seed % 7 : 30 + seed % 5, i * step : (i + 1) * step - seed % 3] = value
    return mask


def save(array: Array, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file)


def flat(root: Path, values: tuple[int, ...] = (0, 255), lists: bool = True) -> Path:
    """Eight clean pairs, six in train and two in val."""
    for i, name in enumerate(NAMES):
        save(photo(i), root / "images" / f"{name}.png")
        save(blobs(i, values), root / "masks" / f"{name}.png")
    if lists:
        (root / "train.txt").write_text("\n".join(NAMES[:6]) + "\n")
        (root / "val.txt").write_text("\n".join(NAMES[6:]) + "\n")
    return root


def the_one(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, [f.text for f in findings]
    return findings[0]


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


def test_train_and_test_list_alone(tmp_path: Path) -> None:
    flat(tmp_path, lists=False)
    (tmp_path / "train.txt").write_text("\n".join(NAMES[:5]))
    (tmp_path / "test.txt").write_text("\n".join(NAMES[5:]))
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert {s.name for split in ("train", "val") for s in checked.dataset.splits[split]} == set(NAMES[:5])
    assert {s.name for s in checked.dataset.splits["test"]} == set(NAMES[5:])


def test_segnet_lists_overlap(tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        save(photo(seed), tmp_path / split / f"{seed}.png")
        save(blobs(seed, tuple(range(11))), tmp_path / f"{split}annot" / f"{seed}.png")
        (tmp_path / f"{split}.txt").write_text(f"/SegNet/x/{split}/{seed}.png /SegNet/x/{split}annot/{seed}.png\n")
    assert check_dataset(tmp_path).defects == ()
    (tmp_path / "test.txt").write_text("/SegNet/x/train/1.png /SegNet/x/trainannot/1.png\n")
    assert the_one(check_dataset(tmp_path).defects).files == ("train.txt and test.txt: /SegNet/x/train/1",)


def test_names_with_dots_are_not_confused(tmp_path: Path) -> None:
    for i in range(4):
        save(photo(i), tmp_path / f"images/frame.{i}.png")
        save(blobs(i), tmp_path / f"masks/frame.{i}.png")
    (tmp_path / "train.txt").write_text("frame.0\nframe.1\n")
    (tmp_path / "val.txt").write_text("frame.2\nframe.3\n")
    assert check_dataset(tmp_path).defects == ()


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


def odd_constant(root: Path) -> None:
    save(np.full((40, 60, 3), 9, np.uint8), root / "images/p3.png")


def odd_same_mask(root: Path) -> None:
    shutil.copy(root / "masks/p2.png", root / "masks/p3.png")


def odd_copy_in_split(root: Path) -> None:
    shutil.copy(root / "images/p2.png", root / "images/p3.png")


def odd_nan(root: Path) -> None:
    import tifffile

    values = photo(3).astype(np.float32)
    values[0, 0] = np.nan
    (root / "images/p3.png").unlink()
    tifffile.imwrite(root / "images/p3.tif", values, photometric="rgb")


def odd_rotated_half(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    (root / "images/p3.png").unlink()
    Image.fromarray(photo(3)).save(root / "images/p3.jpg", exif=exif)


WARNINGS: list[tuple[Callable[[Path], None], str, str]] = [
    (odd_constant, "one single colour", "images/p3.png"),
    (odd_same_mask, "same mask for different images", "masks/p2.png = masks/p3.png"),
    (odd_copy_in_split, "more than once in a split", "images/p2.png = images/p3.png"),
    (odd_nan, "NaN", "images/p3.tif: 3 values"),
    (odd_rotated_half, "EXIF", "images/p3.jpg: orientation 3"),
]


@pytest.mark.parametrize(("spoil", "text", "file"), WARNINGS, ids=[w[0].__name__ for w in WARNINGS])
def test_warnings(spoil: Callable[[Path], None], text: str, file: str, tmp_path: Path) -> None:
    spoil(flat(tmp_path))
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert any(text in w.text and w.files == (file,) for w in checked.warnings), checked.warnings


def test_class_warnings(tmp_path: Path) -> None:
    flat(tmp_path, values=(0, 1))
    mask = blobs(7, (0, 1))
    mask[20:40, 20:40] = 2
    save(mask, tmp_path / "masks/p7.png")
    classes = [{"name": n, "values": [i]} for i, n in enumerate(("ground", "car", "kite", "ghost"))]
    (tmp_path / "dataset.yaml").write_text(
        yaml.safe_dump({"splits": {"train": "train.txt", "val": "val.txt"}, "classes": classes})
    )
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert [(w.text, w.files) for w in checked.warnings] == [
        ("classes that occur in val but never in train", ("kite",)),
        ("classes that never occur", ("ghost",)),
    ]


def test_rare_class(tmp_path: Path) -> None:
    flat(tmp_path, values=(0, 1))
    mask = blobs(0, (0, 1))
    mask[0, :3] = 2
    save(mask, tmp_path / "masks/p0.png")
    warning = the_one(check_dataset(tmp_path).warnings)
    assert warning.files == (f"class 2 ({3 / (8 * 2400):.3%})",)


def test_mixed_binary_codes(tmp_path: Path) -> None:
    flat(tmp_path, values=(0, 1))
    save(blobs(3, (0, 255)), tmp_path / "masks/p3.png")
    assert the_one(check_dataset(tmp_path).warnings).files == ("masks/p3.png",)


def test_numbered_objects(tmp_path: Path) -> None:
    flat(tmp_path)
    for i, name in enumerate(NAMES):
        save(blobs(i, tuple(range(3 + i % 5))), tmp_path / f"masks/{name}.png")
    assert "number single objects" in the_one(check_dataset(tmp_path).warnings).text


COLOURS = [(0, 0, 0), (128, 0, 0), (128, 128, 128), (0, 128, 64)]


def colour_folder(root: Path) -> Path:
    flat(root)
    for i, name in enumerate(NAMES):
        save(np.array(COLOURS, np.uint8)[blobs(i, (0, 1, 2, 3))], root / f"masks/{name}.png")
    save(np.array(COLOURS, np.uint8)[blobs(0, (0, 2))], root / "masks/p0.png")  # all grey: read as one channel
    return root


def test_colours_need_names_and_the_starter_makes_them_readable(tmp_path: Path) -> None:
    checked = check_dataset(colour_folder(tmp_path))
    assert checked.defects == ()
    assert checked.meaning.needs_names
    assert {row.values for row in checked.classes} == {"0-0-0", "128-0-0", "128-128-128", "0-128-64"}
    assert sum(row.pixels for row in checked.classes) == pytest.approx(1)
    text = starter(checked)
    assert text is not None
    (tmp_path / "dataset.yaml").write_text(text)
    again = check_dataset(tmp_path)
    assert again.defects == ()
    assert again.dataset.taxonomy is not None
    assert set(again.dataset.taxonomy.names) == {f"class {r}-{g}-{b}" for r, g, b in COLOURS}
    assert {r.values: r.pixels for r in again.classes} == pytest.approx({r.values: r.pixels for r in checked.classes})
    assert again.dataset.splits == checked.dataset.splits


def test_gaps_in_the_values_need_names(tmp_path: Path) -> None:
    checked = check_dataset(flat(tmp_path, values=(0, 7, 20, 255)))
    assert checked.defects == ()
    assert checked.meaning.needs_names
    data = yaml.safe_load(starter(checked) or "")
    assert [c["values"] for c in data["classes"]] == [[0], [7], [20]]
    assert data["ignore"] == [255]
    assert [c["name"] for c in data["classes"]] == ["class 0", "class 7", "class 20"]


def test_palette_masks_keep_their_colours(tmp_path: Path) -> None:
    flat(tmp_path)
    for i, name in enumerate(NAMES):
        image = Image.fromarray(blobs(i, (0, 5, 9)), "P")
        image.putpalette([v for j in range(256) for v in (10 * j % 256, 255 - j, 7)])
        image.save(tmp_path / f"masks/{name}.png")
    data = yaml.safe_load(starter(check_dataset(tmp_path)) or "")
    assert [c["colour"] for c in data["classes"]] == [[0, 255, 7], [50, 250, 7], [90, 246, 7]]


def test_voc_masks_stored_as_colours(tmp_path: Path) -> None:
    for i in range(4):
        save(photo(i), tmp_path / f"JPEGImages/2007_00000{i}.png")
        mask = np.zeros((40, 60, 3), np.uint8)
        mask[5:30, 5 + i : 30] = (192, 128, 128)
        mask[5:30, 30:32] = (224, 224, 192)
        save(mask, tmp_path / f"SegmentationClass/2007_00000{i}.png")
    checked = check_dataset(tmp_path)
    assert "another kind" in the_one(checked.defects).text
    (tmp_path / "dataset.yaml").write_text(starter(checked) or "")
    again = check_dataset(tmp_path)
    assert again.defects == ()
    assert {row.name for row in again.classes if row.images} == {"background", "person"}
    assert again.ignored == pytest.approx(4 * 50 / (4 * 2400))


def test_ids_stored_as_rgb_and_16_bit_are_read(tmp_path: Path) -> None:
    flat(tmp_path, values=(0, 1, 2))
    save(np.repeat(blobs(2, (0, 1, 2))[..., None], 3, 2), tmp_path / "masks/p2.png")
    save(blobs(3, (0, 1, 2)).astype(np.uint16), tmp_path / "masks/p3.png")
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert len(checked.classes) == 3


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
