"""Files that are truncated, no images, or claim more than memory: one line each; and the real nasty ones."""

import logging
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core import image as reading
from perpixel.core.errors import UserError
from perpixel.core.image import image_size, read_image, read_mask

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from noise_pictures import DEEP, HEIGHT, RGB, WIDTH


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


def test_the_bomb_takes_no_memory(real_data: Path) -> None:
    program = (
        "import re, sys\nfrom perpixel.core.image import read_image\nfrom perpixel.core.errors import UserError\n"
        "try:\n    read_image(sys.argv[1])\nexcept UserError:\n"
        "    print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read()).group(1))\n"  # of this program alone
    )
    bomb = real_data / "nasty" / "decompression_bomb.gif"
    done = subprocess.run([sys.executable, "-c", program, str(bomb)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 * 1024, "kilobytes, most of them the interpreter and its libraries"
