"""Every EXIF orientation gives the same upright picture, of every kind of pixel."""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.image import image_size, read_image, read_mask

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from noise_pictures import DEEP, GREY, HEIGHT, RGB, WIDTH

# where the top left corner and the pixel right of it lie in the stored picture, by the EXIF standard's words for
# "the 0th row is the visual ..., the 0th column is the visual ..."
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.rot90(a, -1),
}


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_upright_picture(tmp_path: Path, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](RGB))
    Image.fromarray(stored).save(tmp_path / "x.png", exif=exif(orientation))
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    for file in (tmp_path / "x.png", tmp_path / "x.tif"):
        np.testing.assert_array_equal(read_image(file), RGB)
        np.testing.assert_array_equal(read_mask(file).values, RGB)
        assert image_size(file) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_palette_cmyk_and_16_bits(tmp_path: Path, orientation: int) -> None:
    turn = STORED[orientation]
    picture = Image.fromarray(np.ascontiguousarray(turn(GREY % 5)), "P")
    picture.putpalette(RGB[0, :5].tobytes())
    picture.save(tmp_path / "palette.png", exif=exif(orientation))
    np.testing.assert_array_equal(read_mask(tmp_path / "palette.png").values, GREY % 5)

    Image.fromarray(np.ascontiguousarray(turn(RGB))).save(tmp_path / "tag.png", exif=exif(orientation))
    tag = png_chunk((tmp_path / "tag.png").read_bytes(), b"eXIf")
    deep = imagecodecs.png_encode(np.ascontiguousarray(turn(DEEP[..., :3])))
    (tmp_path / "deep.png").write_bytes(deep[:33] + tag + deep[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), DEEP[..., :3])

    cmyk = np.ascontiguousarray(turn(np.dstack([RGB, GREY * 0])))
    Image.fromarray(cmyk, "CMYK").save(tmp_path / "cmyk.tif", exif=exif(orientation))
    assert np.abs(read_image(tmp_path / "cmyk.tif").astype(int) - (255 - RGB.astype(int))).max() <= 1


def png_chunk(png: bytes, kind: bytes) -> bytes:
    start = png.index(kind) - 4
    return png[start : start + 12 + int.from_bytes(png[start : start + 4], "big")]


def test_photos_of_all_orientations_are_the_same_photo(real_data: Path) -> None:
    def thumbnail(i: int) -> np.ndarray:
        image = read_image(real_data / "nasty" / f"Landscape_{i}.jpg")
        return np.asarray(Image.fromarray(image).reduce(20), np.float32)

    first = thumbnail(1)
    differences = [float(np.abs(thumbnail(i) - first).mean()) for i in (0, *range(2, 9))]
    assert max(differences) < 3
    assert np.abs(first[::-1] - first).mean() > 20  # so the photo is far from symmetric, and 3 means something
    assert np.abs(first[:, ::-1] - first).mean() > 20
