"""Images and masks of every kind that people have, made here by other libraries or by hand."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core import image as reading
from perpixel.core.errors import UserError
from perpixel.core.image import image_size, match_channels, read_image, read_mask

HEIGHT, WIDTH = 24, 31
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
BANDS = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 7), dtype=np.uint8)

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


def test_a_mask_is_never_converted(tmp_path: Path) -> None:
    ids = np.array([[0, 300], [65535, 255]], np.uint16)
    tifffile.imwrite(tmp_path / "ids.tif", ids)
    Image.fromarray(ids).save(tmp_path / "ids.png")
    for file in ("ids.tif", "ids.png"):
        mask = read_mask(tmp_path / file)
        assert mask.values.dtype == np.uint16
        np.testing.assert_array_equal(mask.values, ids)


def test_ids_stored_as_rgb_are_ids_and_colours_are_colours(tmp_path: Path) -> None:
    ids = GREY % 12
    Image.fromarray(np.dstack([ids, ids, ids])).save(tmp_path / "ids.png")
    Image.fromarray(np.dstack([ids, ids, ids, ids * 0 + 255])).save(tmp_path / "rgba.png")
    Image.fromarray(RGB).save(tmp_path / "colours.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "ids.png").values, ids)
    np.testing.assert_array_equal(read_mask(tmp_path / "rgba.png").values, ids)
    np.testing.assert_array_equal(read_mask(tmp_path / "colours.png").values, RGB)


@pytest.mark.parametrize("factor", [1, 257])
def test_8_bit_colours_stored_in_16_bits(tmp_path: Path, factor: int) -> None:
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(RGB.astype(np.uint16) * factor))
    mask = read_mask(tmp_path / "x.png").values
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, RGB)


def test_true_16_bit_colours_are_no_mask(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(DEEP[..., :3])))
    with pytest.raises(UserError, match=r"x\.png: expected a mask of .* got uint16"):
        read_mask(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("stored", "dtype", "wanted"),
    [
        (np.array([[0, 3]], np.int64), np.uint16, [[0, 3]]),
        (np.array([[-1, 3]], np.int32), np.int32, [[-1, 3]]),
        (np.array([[-1, 70000]], np.int64), np.int32, [[-1, 70000]]),
        (np.array([[0.0, 2.0]], np.float64), np.uint16, [[0, 2]]),
        (np.array([[True, False]]), np.uint8, [[1, 0]]),
        (np.array([[[7], [9]]], np.uint8), np.uint8, [[7, 9]]),
        (np.array([[[1, 2, 3], [4, 5, 6]]], np.int64), np.uint8, [[[1, 2, 3], [4, 5, 6]]]),
    ],
)
def test_masks_in_npy(tmp_path: Path, stored: np.ndarray, dtype: type, wanted: list) -> None:
    np.save(tmp_path / "x.npy", stored)
    mask = read_mask(tmp_path / "x.npy").values
    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask, wanted)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.array([[0.5, 1.0]]), "whole numbers, this one holds 0.5"),
        (np.array([[np.inf, 1.0]]), "whole numbers, this one holds inf; write the value to ignore there"),
        (np.zeros((4, 5, 7), np.uint8), r"expected a mask of \(H, W\)"),  # one-hot, not to be read as a colour
        (np.zeros((4, 5, 2), np.uint8), r"expected a mask of \(H, W\)"),
        (np.zeros((0, 5), np.uint8), r"expected a mask of \(H, W\)"),
        (np.zeros(4, np.uint8), r"expected a mask of \(H, W\)"),
        (np.array([[2**40]]), "do not fit into 32 bits"),
        (np.array([["a"]], dtype=object), "npy"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, stored: np.ndarray, words: str) -> None:
    np.save(tmp_path / "x.npy", stored)
    with pytest.raises(UserError, match=words) as caught:
        read_mask(tmp_path / "x.npy")
    assert str(tmp_path / "x.npy") in str(caught.value)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "ppm", "gif", "tif", "strips.tif", "tiles.tif", "npy"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(
    tmp_path: Path, ending: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # decoders say on their own what they think of the file
    file = tmp_path / f"x.{ending}"
    large = np.tile(RGB, (4, 4, 1))
    if ending == "npy":
        np.save(file, large)
    elif ending == "strips.tif":
        tifffile.imwrite(file, large, photometric="rgb", compression="deflate", rowsperstrip=8)
    elif ending == "tiles.tif":
        tifffile.imwrite(file, large, photometric="rgb", compression="lzw", tile=(32, 32))
    else:
        Image.fromarray(large).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    for read in (read_image, read_mask):
        with pytest.raises(UserError) as caught:
            read(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_truncated_16_bit_png_is_refused(tmp_path: Path) -> None:
    whole = imagecodecs.png_encode(np.ascontiguousarray(DEEP[..., :3]))
    (tmp_path / "x.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="truncated"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("ending", ["png", "tif", "npy", "jpg"])
def test_text_with_the_ending_of_an_image(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"x.{ending}").write_text("# notes\n" * 9)
    for read in (read_image, read_mask, image_size):
        with pytest.raises(UserError, match=rf"x\.{ending}: (not an image|cannot be read)"):
            read(tmp_path / f"x.{ending}")


def test_missing_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        for read in (read_image, read_mask, image_size):
            with pytest.raises(UserError, match="no such file"):
                read(path)


def test_a_bomb_of_each_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    for name in ("x.png", "x.jpg", "x.bmp"):
        Image.fromarray(RGB).save(tmp_path / name)
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(DEEP[..., :3])))
    tifffile.imwrite(tmp_path / "x.tif", RGB, photometric="rgb")
    for file in ("x.png", "x.jpg", "x.bmp", "deep.png", "x.tif"):
        with pytest.raises(UserError, match=rf"{file}: claims {WIDTH}x{HEIGHT} pixels"):
            read_image(tmp_path / file)


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


NASTY = {
    "16bit.MM.deflate.tif": ((64, 64, 1), "uint16"),
    "16bit.cropped.tif": ((64, 64, 1), "uint16"),
    "1_trns.png": ((64, 64, 1), "uint8"),
    **{f"Landscape_{i}.jpg": ((1200, 1800, 3), "uint8") for i in range(9)},
    "decompression_bomb.gif": "claims 65535x66601 pixels",
    "hopper_16bit.pgm": ((128, 128, 1), "uint16"),
    "hopper_16bit_qtables.jpg": ((128, 128, 3), "uint8"),
    "palette_wedge.png": ((128, 128, 3), "uint8"),
    "pil_sample_cmyk.jpg": ((100, 100, 3), "uint8"),
    "tiff_16bit_RGB.tiff": ((40, 100, 3), "uint16"),
    "tiff_strip_planar_16bit_RGBa.tiff": ((40, 100, 3), "uint16"),
    "truncated_image.png": "truncated",
    "truncated_jpeg.jpg": "truncated",
    "uncompressed_la.png": ((128, 128, 1), "uint8"),
    "zero_byte.png": "the file is empty (0 bytes)",
}


def test_the_list_of_nasty_files_is_whole(real_data: Path) -> None:
    assert sorted(p.name for p in (real_data / "nasty").iterdir()) == sorted(NASTY)
    assert len(NASTY) == 23


@pytest.mark.parametrize("name", NASTY)
def test_nasty_file(real_data: Path, name: str) -> None:
    file, wanted = real_data / "nasty" / name, NASTY[name]
    if isinstance(wanted, str):
        with pytest.raises(UserError) as caught:
            read_image(file)
        assert str(caught.value).startswith(f"{file}: ")
        assert wanted in str(caught.value)
    else:
        image = read_image(file)
        assert (image.shape, image.dtype.name) == wanted
        assert image_size(file) == image.shape[:2]


def test_photos_of_all_orientations_are_the_same_photo(real_data: Path) -> None:
    def thumbnail(i: int) -> np.ndarray:
        image = read_image(real_data / "nasty" / f"Landscape_{i}.jpg")
        return np.asarray(Image.fromarray(image).reduce(20), np.float32)

    first = thumbnail(1)
    differences = [float(np.abs(thumbnail(i) - first).mean()) for i in (0, *range(2, 9))]
    assert max(differences) < 3
    assert np.abs(first[::-1] - first).mean() > 20  # so the photo is far from symmetric, and 3 means something
    assert np.abs(first[:, ::-1] - first).mean() > 20


def test_the_bomb_takes_no_memory(real_data: Path) -> None:
    program = (
        "import re, sys\nfrom perpixel.core.image import read_image\nfrom perpixel.core.errors import UserError\n"
        "try:\n    read_image(sys.argv[1])\nexcept UserError:\n"
        "    print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read()).group(1))\n"  # of this program alone
    )
    bomb = real_data / "nasty" / "decompression_bomb.gif"
    done = subprocess.run([sys.executable, "-c", program, str(bomb)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 * 1024, "kilobytes, most of them the interpreter and its libraries"
