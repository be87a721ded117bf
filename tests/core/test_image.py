"""Images of every kind that people have, made here by other libraries or by hand."""

import sys
import threading
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import image_size, match_channels, read_image, read_mask

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from noise_pictures import BANDS, DEEP, GREY, HEIGHT, RGB, WIDTH


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "bmp", "ppm"])
def test_rgb_of_lossless_formats(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    Image.fromarray(RGB).save(file, **({"lossless": True} if ending == "webp" else {}))
    image = read_image(file)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, RGB)
    assert image_size(file) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "pgm"])
def test_grey_is_one_channel(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    Image.fromarray(GREY).save(file)
    np.testing.assert_array_equal(read_image(file), GREY[..., None])
    np.testing.assert_array_equal(read_mask(file).values, GREY)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_lossy_formats_are_close(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    smooth = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], (64, 48, 3))
    Image.fromarray(np.ascontiguousarray(smooth)).save(file, quality=95)
    assert np.abs(read_image(file).astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_alpha_is_dropped(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    see_through = np.full((HEIGHT, WIDTH, 1), 200, np.uint8)  # WebP keeps no colour where alpha is 0
    pixels = Image.fromarray(np.concatenate([RGB, see_through], axis=2))
    pixels.save(file, **({"lossless": True, "exact": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(read_image(file), RGB)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey_with_alpha(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    Image.fromarray(np.stack([GREY, GREY // 2], axis=2), "LA").save(file)
    np.testing.assert_array_equal(read_image(file), GREY[..., None])
    np.testing.assert_array_equal(read_mask(file).values, GREY)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "gif"])
def test_palette_is_colours_in_an_image_and_indices_in_a_mask(tmp_path: Path, ending: str) -> None:
    file, colours = tmp_path / f"x.{ending}", np.zeros((256, 3), np.uint8)
    colours[:4] = [[0, 0, 0], [38, 75, 15], [128, 0, 0], [1, 2, 3]]
    indices = GREY % 4
    picture = Image.fromarray(indices, "P")
    picture.putpalette(colours.tobytes())
    picture.save(file, **({"optimize": False} if ending == "gif" else {}))
    np.testing.assert_array_equal(read_image(file), colours[indices])
    mask = read_mask(file)
    np.testing.assert_array_equal(mask.values, indices)
    assert mask.palette is not None
    np.testing.assert_array_equal(mask.palette[:4], colours[:4])


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_one_bit_is_black_and_white_in_an_image_and_0_and_1_in_a_mask(tmp_path: Path, ending: str) -> None:
    file, bits = tmp_path / f"x.{ending}", GREY > 127
    Image.fromarray(bits).save(file)
    np.testing.assert_array_equal(read_image(file), np.where(bits, 255, 0)[..., None])
    assert read_image(file).dtype == np.uint8
    np.testing.assert_array_equal(read_mask(file).values, bits.astype(int))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_tiff_with_white_as_0_is_turned_round(tmp_path: Path, photometric: str) -> None:
    white_is_0 = photometric == "miniswhite"
    tifffile.imwrite(tmp_path / "bits.tif", (GREY > 127) ^ white_is_0, photometric=photometric)
    tifffile.imwrite(tmp_path / "grey.tif", 255 - GREY if white_is_0 else GREY, photometric=photometric)
    np.testing.assert_array_equal(read_mask(tmp_path / "bits.tif").values, GREY > 127)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.tif")[..., 0], GREY)


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_becomes_rgb(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    Image.new("CMYK", (16, 8), (255, 0, 0, 0)).save(file)  # pure cyan
    image = read_image(file)
    assert image.shape == (8, 16, 3)
    assert np.abs(image[4, 4].astype(int) - [0, 255, 255]).max() <= 2


def test_ycbcr_tiff_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("YCbCr").save(tmp_path / "x.tif")
    assert np.abs(read_image(tmp_path / "x.tif").astype(int) - RGB).max() <= 3


@pytest.mark.parametrize(("bands", "wanted"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_16_bit_png_keeps_its_bits(tmp_path: Path, bands: int, wanted: int) -> None:
    file = tmp_path / "x.png"
    stored = DEEP[..., 0] if bands == 1 else DEEP[..., :bands]
    file.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(stored)))
    image = read_image(file)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, DEEP[..., :wanted])
    assert image_size(file) == (HEIGHT, WIDTH)


def test_16_bit_pgm_and_tiff(tmp_path: Path) -> None:
    header = f"P5 {WIDTH} {HEIGHT} 65535\n".encode()
    (tmp_path / "x.pgm").write_bytes(header + DEEP[..., 0].astype(">u2").tobytes())
    tifffile.imwrite(tmp_path / "x.tif", DEEP[..., :3], photometric="rgb", byteorder=">")
    for file, wanted in (("x.pgm", DEEP[..., :1]), ("x.tif", DEEP[..., :3])):
        image = read_image(tmp_path / file)
        assert image.dtype == np.uint16
        np.testing.assert_array_equal(image, wanted)


@pytest.mark.parametrize("ending", ["tif", "npy"])
def test_the_dtype_never_depends_on_the_values(tmp_path: Path, ending: str) -> None:
    """Else one image of a set would be scaled to [0, 1] and the next, which has a negative value, would not."""
    for dtype in ("int16", "int32", "uint32", "float64"):
        for low in (0, 0 if dtype == "uint32" else -5):
            values = (np.arange(12).reshape(3, 4) + low).astype(dtype)
            file = tmp_path / f"x.{ending}"
            tifffile.imwrite(file, values) if ending == "tif" else np.save(file, values)
            image = read_image(file)
            assert image.dtype == np.float32
            np.testing.assert_array_equal(image[..., 0], values)


def test_not_a_number_becomes_0(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.array([[np.nan, 1.5], [np.inf, -np.inf]], np.float32))
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif")[..., 0], [[0, 1.5], [0, 0]])


def test_the_content_counts_and_not_the_ending(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.png")
    (tmp_path / "x.tif").write_bytes((tmp_path / "x.png").read_bytes())
    tifffile.imwrite(tmp_path / "deep.tif", DEEP[..., :3], photometric="rgb")
    (tmp_path / "deep.png").write_bytes((tmp_path / "deep.tif").read_bytes())
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), RGB)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), DEEP[..., :3])
    assert image_size(tmp_path / "x.tif") == image_size(tmp_path / "deep.png") == (HEIGHT, WIDTH)


def test_pillows_own_limit_is_left_alone_by_threads(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.png")
    before = Image.MAX_IMAGE_PIXELS
    threads = [threading.Thread(target=lambda: [read_image(tmp_path / "x.png") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == Image.MAX_IMAGE_PIXELS


def test_match_channels() -> None:
    np.testing.assert_array_equal(match_channels(GREY[..., None], 3, "x"), np.dstack([GREY] * 3))
    red = np.full((1, 1, 3), (200, 0, 0), np.uint8)
    assert match_channels(red, 1, "x").tolist() == [[[60]]]  # 0.299 * 200 = 59.8
    assert match_channels(red.astype(np.float32), 1, "x")[0, 0, 0] == pytest.approx(59.8)
    assert match_channels(BANDS, 7, "x") is BANDS
    with pytest.raises(UserError, match=r"x\.tif: the model takes 3 channels, this image has 7"):
        match_channels(BANDS, 3, "x.tif")
