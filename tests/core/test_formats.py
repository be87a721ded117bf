"""Formats told apart by their first bytes, endings that are counted, and files whose few bits keep their own values."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from perpixel.core.errors import UserError
from perpixel.core.formats import SUFFIXES, format_of
from perpixel.core.image import image_size, read_image, read_mask

IDS = np.random.default_rng(0).integers(0, 4, (9, 13), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def grey_png(ids: np.ndarray, depth: int) -> bytes:
    """By the PNG standard: rows packed from the left, each after the number of its filter."""
    bits = np.unpackbits(ids[..., None], axis=2)[..., 8 - depth :].reshape(len(ids), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    head = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], depth, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(("depth", "step"), [(2, 85), (4, 17)])
def test_grey_png_of_few_bits(tmp_path: Path, depth: int, step: int) -> None:
    (tmp_path / "x.png").write_bytes(grey_png(IDS, depth))
    np.testing.assert_array_equal(read_mask(tmp_path / "x.png").values, IDS)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png")[..., 0], IDS * step)  # white is 255


@pytest.mark.parametrize("largest", [3, 4, 255, 1000, 65535])
@pytest.mark.parametrize("kind", [2, 5])
def test_a_pgm_keeps_its_values_whatever_its_largest_is(tmp_path: Path, kind: int, largest: int) -> None:
    head = f"P{kind} # by hand\n13 9\n{largest}\n".encode()
    data = IDS.astype(">u2" if largest > 255 else "u1").tobytes()
    if kind == 2:
        data = "\n".join(" ".join(map(str, row)) for row in IDS.tolist()).encode()
    (tmp_path / "x.pgm").write_bytes(head + data)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.pgm").values, IDS)
    image = read_image(tmp_path / "x.pgm")
    full = 255 if largest < 256 else 65535
    assert image.dtype == (np.uint8 if largest < 256 else np.uint16)
    np.testing.assert_array_equal(image[..., 0], np.rint(IDS * (full / largest)))


def test_pbm_and_pfm(tmp_path: Path) -> None:
    bits = IDS > 1  # 1 is black
    (tmp_path / "plain.pbm").write_bytes(b"P1 13 9\n" + "".join(str(int(not b)) for b in bits.ravel()).encode())
    (tmp_path / "packed.pbm").write_bytes(b"P4 13 9\n" + np.packbits(~bits, axis=1).tobytes())
    for name in ("plain.pbm", "packed.pbm"):
        np.testing.assert_array_equal(read_mask(tmp_path / name).values, bits)
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., 0], bits * 255)
    depth = np.linspace(-2, 3, 9 * 13, dtype=np.float32).reshape(9, 13)
    (tmp_path / "x.pfm").write_bytes(b"Pf 13 9 -1.0\n" + depth[::-1].astype("<f4").tobytes())  # from the lowest row up
    np.testing.assert_array_equal(read_image(tmp_path / "x.pfm")[..., 0], depth)


@pytest.mark.parametrize("kind", [b"zTXt", b"tEXt", b"iTXt", b"iCCP"])
def test_a_png_may_have_much_beside_its_picture(tmp_path: Path, kind: bytes) -> None:
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, "PNG")
    whole, text = out.getvalue(), bytes(range(65, 91)) * 80_000  # 2 MB, where Pillow takes 1
    data = {
        b"zTXt": b"Comment\0\0" + zlib.compress(text),
        b"tEXt": b"Comment\0" + text,
        b"iTXt": b"Comment\0\1\0\0\0" + zlib.compress(text),
        b"iCCP": b"profile\0\0" + zlib.compress(text),
    }[kind]
    (tmp_path / "x.png").write_bytes(whole[:33] + chunk(kind, data) + whole[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), RGB)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.png").values, RGB)


@pytest.mark.parametrize("ending", ["jfif", "jpe", "jp2", "j2k", "tga", "apng", "avif"])
def test_endings_of_formats_that_have_several(tmp_path: Path, ending: str) -> None:
    if ending == "avif" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    smooth = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 255, 64)[:, None, None], (64, 48, 3)).astype(np.uint8))
    name = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000", "j2k": "JPEG2000", "tga": "TGA", "apng": "PNG"}
    options = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}}.get(name.get(ending, "AVIF"), {})
    Image.fromarray(smooth).save(tmp_path / f"x.{ending}", name.get(ending, "AVIF"), **options)
    assert f".{ending}" in SUFFIXES
    assert np.abs(read_image(tmp_path / f"x.{ending}").astype(int) - smooth).max() <= 6
    assert image_size(tmp_path / f"x.{ending}") == (64, 48)


def test_jpeg_2000_of_16_bits_and_with_alpha(tmp_path: Path) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (16, 24), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.jp2", irreversible=False)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.jp2")[..., 0], deep)
    four = np.concatenate([RGB, np.full((16, 24, 1), 255, np.uint8)], axis=2)
    Image.fromarray(four).save(tmp_path / "rgba.jp2", irreversible=False)
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.jp2"), RGB)
    Image.fromarray(IDS).save(tmp_path / "mask.jp2", irreversible=False)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.jp2").values, IDS)


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "it holds PostScript"),
        (b"%PDF-1.7\n", "it holds PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it holds HEIC or video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS file, which was not fetched"),
        (b"MATLAB 5.0 MAT-file", "it holds a MATLAB file"),
        (b"<!DOCTYPE html>", "it holds HTML, XML or SVG"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, begin: bytes, words: str) -> None:
    (tmp_path / "x.jpg").write_bytes(begin + bytes(99))
    for read in (read_image, read_mask, image_size):
        with pytest.raises(UserError, match=words):
            read(tmp_path / "x.jpg")


def test_the_first_bytes_decide_and_not_the_ending() -> None:
    assert format_of(b"\x89PNG\r\n\x1a\n" + bytes(8), ".tga") == "png"
    assert format_of(b"RIFF\0\0\0\0WEBPVP8L", ".jpg") == "webp"
    assert format_of(b"RIFF\0\0\0\0WAVEfmt ", ".webp") == ""
    assert format_of(b"\0\0\x02\0", ".TGA") == "tga"
    assert format_of(b"\0\0\x02\0", ".png") == ""
