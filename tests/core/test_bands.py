"""Bands as samples, planes or pages of a TIFF, and which of them are an alpha."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from perpixel.core.image import image_size, read_image

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from noise_pictures import BANDS, DEEP, GREY, HEIGHT, RGB, WIDTH


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("how", ["contig", "separate", "pages", "written without being told", "tiled"])
def test_bands_may_be_samples_planes_or_pages(tmp_path: Path, how: str, dtype: str) -> None:
    file, bands = tmp_path / "x.tif", BANDS.astype(dtype)
    if how in ("contig", "tiled"):
        options = {"tile": (16, 16), "compression": "deflate"} if how == "tiled" else {}
        tifffile.imwrite(file, bands, photometric="minisblack", planarconfig="contig", **options)
    elif how == "separate":
        tifffile.imwrite(file, bands.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate")
    elif how == "pages":
        tifffile.imwrite(file, bands.transpose(2, 0, 1), photometric="minisblack")
    else:
        tifffile.imwrite(file, bands)  # becomes HEIGHT pages of WIDTH x 7
    image = read_image(file)
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, bands)
    assert image_size(file) == (HEIGHT, WIDTH)


def test_pages_of_rgb_are_bands_after_bands(tmp_path: Path) -> None:
    pages = np.stack([RGB, RGB // 2, RGB // 4])
    with_alpha = np.concatenate([pages, np.full((3, HEIGHT, WIDTH, 1), 9, np.uint8)], axis=3)
    wanted = np.concatenate(list(pages), axis=2)
    for name, stored in (("rgb", pages), ("rgba", with_alpha)):
        tifffile.imwrite(tmp_path / f"{name}.tif", stored, photometric="rgb")
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.tif"), wanted)


def test_alpha_as_a_plane(tmp_path: Path) -> None:
    planes = DEEP.transpose(2, 0, 1).copy()
    planes[3] = np.where(GREY > 99, 65535, 0)  # an alpha: shown or not
    tifffile.imwrite(
        tmp_path / "x.tif", planes, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"]
    )
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), DEEP[..., :3])


def test_pages_of_different_sizes_give_the_first(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:  # a thumbnail or pyramid behind the picture
        file.write(RGB, photometric="rgb")
        file.write(RGB[::2, ::2], photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), RGB)


def test_four_bands_that_are_no_alpha_stay(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", DEEP, photometric="rgb", extrasamples=["unspecified"])  # RGB and near infrared
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), DEEP)
