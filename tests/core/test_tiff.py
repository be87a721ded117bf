"""Kinds of TIFF that people have, written by Pillow, by tifffile or byte by byte; Pillow's reading of the same file is the judge."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import image_size, read_image, read_mask

IDS = np.random.default_rng(0).integers(0, 16, (24, 31), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (24, 31, 3), dtype=np.uint8)
COLOURS = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
HEIGHT, WIDTH = IDS.shape


def written(file: Path, data: bytes, tags: dict[int, tuple[int, list[int]]]) -> Path:
    """A little-endian TIFF of one strip; tags are code -> (type 3 or 4, values)."""
    tags = {256: (4, [WIDTH]), 257: (4, [HEIGHT]), 259: (3, [1]), 273: (4, [8]), 278: (4, [HEIGHT]), **tags}
    tags[279] = (4, [len(data)])
    extra, entries = b"", b""
    for code, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place = struct.pack("<I", 8 + len(data) + len(extra))
            extra += packed
        entries += struct.pack("<HHI", code, kind, len(values)) + place
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(extra))
    file.write_bytes(head + data + extra + struct.pack("<H", len(tags)) + entries + bytes(4))
    return file


def packed(ids: np.ndarray, bits: int) -> bytes:
    """Rows of values of few bits, each row to whole bytes."""
    return np.packbits(np.unpackbits(ids[..., None], axis=2)[..., 8 - bits :].reshape(len(ids), -1), axis=1).tobytes()


def colour_map(bits: int) -> list[int]:
    return [int(v) * 257 for v in COLOURS[: 2**bits].T.ravel()]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_few_bits_is_an_index(tmp_path: Path, bits: int) -> None:
    ids = IDS & np.uint8(2**bits - 1)
    tags = {258: (3, [bits]), 262: (3, [3]), 277: (3, [1]), 320: (3, colour_map(bits))}
    file = written(tmp_path / "x.tif", packed(ids, bits), tags)
    mask = read_mask(file)
    np.testing.assert_array_equal(mask.values, ids)
    assert mask.palette is not None
    np.testing.assert_array_equal(mask.palette[: 2**bits], COLOURS[: 2**bits])
    np.testing.assert_array_equal(read_image(file), COLOURS[ids])
    with Image.open(file) as pillow:
        np.testing.assert_array_equal(read_image(file), np.asarray(pillow.convert("RGB")))


def test_a_palette_with_alpha(tmp_path: Path) -> None:
    data = np.stack([IDS, IDS * 9], axis=2).tobytes()
    tags = {258: (3, [8, 8]), 262: (3, [3]), 277: (3, [2]), 320: (3, colour_map(8)), 338: (3, [2])}
    file = written(tmp_path / "x.tif", data, tags)
    np.testing.assert_array_equal(read_mask(file).values, IDS)
    np.testing.assert_array_equal(read_image(file), COLOURS[IDS])


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits(tmp_path: Path, bits: int, photometric: int) -> None:
    ids = IDS % 2**bits
    tags = {258: (3, [bits]), 262: (3, [photometric]), 277: (3, [1])}
    file = written(tmp_path / "x.tif", packed(ids, bits), tags)
    wanted = ids if photometric == 1 else 2**bits - 1 - ids  # 0 is white
    np.testing.assert_array_equal(read_mask(file).values, wanted)
    np.testing.assert_array_equal(read_image(file)[..., 0], wanted * (255 // (2**bits - 1)))


@pytest.mark.parametrize(
    "compression", ["group3", "group4", "tiff_ccitt", "packbits", "tiff_lzw", "tiff_adobe_deflate"]
)
def test_compressions_of_one_bit(tmp_path: Path, compression: str) -> None:
    bits = np.kron(IDS > 7, np.ones((8, 9), bool))
    Image.fromarray(bits).save(tmp_path / "x.tif", compression=compression)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.tif").values, bits)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "zstd", "lzma", "webp"])
def test_compressions_of_colours(tmp_path: Path, compression: str) -> None:
    smooth = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 255, 48)[:, None, None], (48, 64, 3)).astype(np.uint8))
    file = tmp_path / "x.tif"
    try:
        Image.fromarray(smooth).save(file, compression=compression)
    except OSError:  # this Pillow's libtiff lacks it
        tifffile.imwrite(file, smooth, photometric="rgb", compression=compression)
    assert np.abs(read_image(file).astype(int) - smooth).max() <= 8
    assert image_size(file) == (48, 64)


@pytest.mark.parametrize("strips", [1, 5, 24])
@pytest.mark.parametrize("predictor", [False, True])
def test_strips_and_predictors(tmp_path: Path, strips: int, predictor: bool) -> None:
    options = {"rowsperstrip": -(-HEIGHT // strips), "predictor": predictor, "compression": "deflate"}
    tifffile.imwrite(tmp_path / "x.tif", RGB, photometric="rgb", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), RGB)


@pytest.mark.parametrize("tagged", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_with_alpha_of_8_and_16_bits(tmp_path: Path, dtype: type, tagged: str) -> None:
    full = np.iinfo(dtype).max
    colours = RGB.astype(dtype) * (full // 255)
    alpha = np.where(np.indices(IDS.shape).sum(0) < 40, full, 0).astype(dtype)
    colours[alpha == 0] = 0
    four = np.concatenate([colours, alpha[..., None]], axis=2)
    tifffile.imwrite(tmp_path / "x.tif", four, photometric="rgb", extrasamples=[tagged])
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), colours)


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("tagged", [True, False])
def test_four_one_hot_channels_are_no_colours(tmp_path: Path, value: int, tagged: bool) -> None:
    hot = np.eye(4, dtype=np.uint8)[IDS % 4] * np.uint8(value)
    tifffile.imwrite(
        tmp_path / "x.tif", hot, photometric="rgb", extrasamples=["unassalpha" if tagged else "unspecified"]
    )
    tifffile.imwrite(tmp_path / "pages.tif", hot.transpose(2, 0, 1), photometric="minisblack")
    Image.fromarray(hot).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", hot)
    for name in ("x.tif", "pages.tif", "x.png", "x.npy"):
        with pytest.raises(UserError, match=r"four channels .*argmax"):
            read_mask(tmp_path / name)


def test_colours_with_alpha_are_a_mask(tmp_path: Path) -> None:
    """Constant, or shown and not: that is alpha. RGB that uses one channel a pixel beside it is no one-hot."""
    colours = np.eye(3, dtype=np.uint8)[IDS % 3] * np.uint8(255)
    for name, alpha in (("constant", IDS * 0 + 255), ("cut out", np.where(IDS > 3, 255, 0))):
        four = np.concatenate([colours, alpha[..., None].astype(np.uint8)], axis=2)
        for ending in ("png", "tif"):
            Image.fromarray(four).save(tmp_path / f"{name}.{ending}")
            np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.{ending}").values, colours)


def test_complex_numbers_are_refused_with_the_fix(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.ones((8, 9), np.complex64))
    np.save(tmp_path / "x.npy", np.ones((8, 9), np.complex128))
    for name in ("x.tif", "x.npy"):
        with pytest.raises(UserError, match=r"complex numbers; save their magnitude .* or real and imaginary part"):
            read_image(tmp_path / name)
        with pytest.raises(UserError, match="whole numbers"):
            read_mask(tmp_path / name)
