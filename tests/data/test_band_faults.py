"""Bands that say nothing are found; what only looks so is not."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.data.check import check_dataset

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from clean_folder import NAMES, flat, photo, the_one


def with_band(root: Path, name: str, value: int) -> None:
    image = photo(3)
    image[..., 1] = value
    Image.fromarray(image).save(root / f"images/{name}.png")


def low_byte(root: Path) -> None:
    for i, name in enumerate(NAMES):
        (root / f"images/{name}.png").unlink()
        tifffile.imwrite(root / f"images/{name}.tif", photo(i).astype(np.uint16), photometric="rgb")


def flat_band(root: Path) -> None:
    with_band(root, "p3", 40)


def nearly_full_band(root: Path) -> None:
    image = photo(3)
    image[..., 2] = 255
    image[0, 0, 2] = 0
    Image.fromarray(image).save(root / "images/p3.png")


@pytest.mark.parametrize(
    ("spoil", "text", "file"),
    [
        (low_byte, "values fit into 8 bits", "images/p0.tif: 255 at most"),
        (flat_band, "one single value beside others", "images/p3.png: band 2"),
        (nearly_full_band, "saturated nearly everywhere", "images/p3.png: band 3"),
    ],
)
def test_bands_that_say_nothing(spoil: Callable[[Path], None], text: str, file: str, tmp_path: Path) -> None:
    root = flat(tmp_path)
    spoil(root)
    found = the_one(check_dataset(root).warnings)
    assert text in found.text and file in found.files


def test_names_of_bands_are_said(tmp_path: Path) -> None:
    root = flat(tmp_path)
    with_band(root, "p3", 40)
    (root / "dataset.yaml").write_text("bands: [red, green, blue]\n")
    assert the_one(check_dataset(root).warnings).files == ("images/p3.png: band green",)


def test_white_pages_and_full_16_bits_are_no_fault(tmp_path: Path) -> None:
    root = flat(tmp_path)
    page = np.full((40, 60, 3), 255, np.uint8)
    page[5, 5:9] = 0
    Image.fromarray(page).save(root / "images/p3.png")
    assert check_dataset(root).warnings == ()
    for i, name in enumerate(NAMES):
        (root / f"images/{name}.png").unlink()
        scale = 257 if i else 1
        tifffile.imwrite(root / f"images/{name}.tif", photo(i).astype(np.uint16) * scale, photometric="rgb")
    assert check_dataset(root).warnings == ()
