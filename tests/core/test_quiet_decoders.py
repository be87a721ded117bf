"""Decoders say nothing of their own, whatever a file makes them think."""

import io
import logging
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

GREY = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)


def png(width: int, height: int, idat: bytes, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


NOISY = """
import io, sys, numpy as np, tifffile
from pathlib import Path
from perpixel.core.errors import UserError
from perpixel.core.image import image_size, read_image, read_mask
for file in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_image, read_mask, image_size):
        try:
            read(file)
        except UserError:
            pass
"""


def test_decoders_say_nothing_of_their_own(tmp_path: Path) -> None:
    """Files that make tifffile log, Pillow warn and libpng write, in a process where nobody listens to any of them."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    whole = io.BytesIO()
    tifffile.imwrite(whole, GREY, description="x")
    broken = bytearray(whole.getvalue())
    (folder / "cut.tif").write_bytes(broken[:-40])
    broken[4:8] = struct.pack("<I", len(broken) - 4)
    (folder / "ifd.tif").write_bytes(broken)
    for name, old, new in (("tag.tif", 270, 60000), ("type.tif", 282, 282), ("strips.tif", 273, 279)):
        data = bytearray(whole.getvalue())
        at = data.find(struct.pack("<H", old), 8)
        data[at : at + 4] = struct.pack("<HH", new, 99)
        (folder / name).write_bytes(data)
    Image.fromarray(GREY, "L").convert("P").save(folder / "alpha.png", transparency=bytes(range(256)))
    (folder / "rows.png").write_bytes(png(8, 8, zlib.compress(bytes(25 * 8 + 9999))))
    deep = bytearray(imagecodecs.png_encode(np.zeros((8, 8, 3), np.uint16)))
    (folder / "deep.png").write_bytes(deep)
    Image.new("RGB", (12000, 9000)).save(folder / "large.jpg")  # Pillow warns of a "decompression bomb"
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes()[:-4]
    Image.fromarray(GREY).save(folder / "exif.jpg", exif=data)
    Image.new("CMYK", (16, 16)).save(folder / "mpf.jpg")
    cmyk = (folder / "mpf.jpg").read_bytes()  # Pillow warns of a malformed MPO
    (folder / "mpf.jpg").write_bytes(cmyk[:2] + b"\xff\xe2" + struct.pack(">H", 2 + 8) + b"MPF\0xxxx" + cmyk[2:])
    assert len(list(folder.iterdir())) == 11
    command = [sys.executable, "-W", "default", "-c", NOISY, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    assert done.stdout == ""


def test_tifffile_and_pillow_are_noisy_where_they_are_asked_plainly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """So that the test above means something."""
    with caplog.at_level(logging.WARNING, "tifffile"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tifffile.imwrite(tmp_path / "x.tif", GREY, description="x")
        data = bytearray((tmp_path / "x.tif").read_bytes())
        at = data.find(struct.pack("<H", 282), 8)
        data[at : at + 4] = struct.pack("<HH", 282, 99)
        (tmp_path / "x.tif").write_bytes(data)
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            assert file.pages.first.tags
        Image.new("RGB", (12000, 9000)).save(tmp_path / "x.jpg")
        Image.open(tmp_path / "x.jpg").close()
    assert caplog.records
    assert any(issubclass(w.category, Image.DecompressionBombWarning) for w in caught)
