"""Every warning of check, made by hand in a folder of its own."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.data.check import check_dataset

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from clean_folder import NAMES, blobs, flat, photo, save, the_one


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
