"""Files of strangers: none is run, what they claim is looked at before memory is asked for, every fault is one line."""

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import SUFFIXES, image_size, read_image, read_mask
from perpixel.infer.images import as_array

READERS = (read_image, read_mask, image_size)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n{} loop\n%%EOF\n"
DOS_EPS = b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(EPS)) + bytes(18) + EPS
GREY = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)

TRAPPED = """
import sys
from pathlib import Path
from PIL import Image
from perpixel.core.errors import UserError
from perpixel.core.image import image_size, read_image, read_mask
from perpixel.infer.images import as_array
lines = []
for file in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_image, read_mask, image_size, as_array):
        try:
            read(file)
        except UserError as error:
            lines.append(str(error))
print(len(lines), sum("PostScript" in line for line in lines), Path(sys.argv[2]).exists())
try:
    Image.open(Path(sys.argv[1]) / "x.jpg").load()
except Exception:
    pass
print(Path(sys.argv[2]).exists())
"""


def test_postscript_under_any_ending_is_never_run(tmp_path: Path) -> None:
    """A Ghostscript that leaves a trace stands on the PATH; Pillow, asked plainly, steps into it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "images").mkdir()
    trap, trace = tmp_path / "bin/gs", tmp_path / "trace"
    trap.write_text(f"#!/bin/sh\ntouch {trace}\nexit 1\n")
    trap.chmod(0o755)
    for ending in sorted(SUFFIXES | {".eps", ".ps", ".epsf", ""}):
        (tmp_path / f"images/x{ending}").write_bytes(EPS)
        (tmp_path / f"images/dos{ending}").write_bytes(DOS_EPS)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-c", TRAPPED, str(tmp_path / "images"), str(trace)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    readings = 4 * 2 * (len(SUFFIXES) + 4)
    assert readings >= 160
    assert done.stdout.splitlines() == [f"{readings} {readings - 8} False", "True"]  # as TGA, 8 are broken TGA
    assert done.stderr == ""


def test_no_decoder_is_asked_for_a_format_that_is_not_listed(tmp_path: Path) -> None:
    """Every format that Pillow can write and perpixel does not list is refused, whatever its ending says."""
    listed = {"AVIF", "BMP", "DIB", "GIF", "JPEG", "MPO", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
    Image.init()
    refused = []
    for name in sorted(set(Image.SAVE) - listed):
        file = tmp_path / f"{name}.png"
        try:
            Image.fromarray(GREY).convert("RGB").save(tmp_path / "x", name)  # SPIDER would take .png for its own ending
        except (OSError, KeyError, ValueError):
            continue
        (tmp_path / "x").rename(file)
        refused.append(name)
        for read in READERS:
            with pytest.raises(UserError, match="not an image in a format that can be read"):
                read(file)
    assert {"EPS", "PDF", "PCX", "ICO"} <= set(refused)
    assert len(refused) > 8


def test_pillow_opens_a_file_in_one_place_and_is_told_the_format() -> None:
    """Left to itself it tries all formats that it knows, PostScript among them."""
    sources = sorted((Path(__file__).resolve().parents[2] / "src").rglob("*.py"))
    assert len(sources) > 150
    lines = [line.strip() for file in sources for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if "Image.open(" in line] == ["return Image.open(file, formats=[_NAMES[name]])"]


def png(width: int, height: int, idat: bytes, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


def many_scans() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 2000 + data[-2:]


def one_strip(width: int, height: int, compression: int, data: bytes) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(data))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    place = 8 + len(data)
    return struct.pack("<2sHI", b"II", 42, place) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def npy_of(shape: str) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + bytes(99)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "34-bytes.webp": (
        lambda: imagecodecs.webp_encode(np.zeros((16000, 16000, 3), np.uint8), lossless=True, method=0),
        "claims 16000x16000 pixels in 34 bytes",
    ),
    "scans.jpg": (many_scans, "scans of 1000x1000 pixels"),
    "large.png": (lambda: png(70000, 70000, b"x"), "more than the limit"),
    "excess.png": (lambda: png(8, 8, zlib.compress(bytes(200)) + bytes(2**21)), "far more data than its size needs"),
    "short.png": (lambda: png(16000, 1000, zlib.compress(bytes(2000))), "may be truncated"),
    "screen.gif": (lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0", "limit"),
    "frame.gif": (lambda: b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0", "limit"),
    "runs.bmp": (
        lambda: b"BM" + bytes(8) + struct.pack("<IIiiHHIIiiII", 54, 40, 4000, 4000, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(99),
        "run-length BMP of 4000x4000",
    ),
    "huge.tif": (lambda: one_strip(70000, 70000, 1, bytes(64)), "more than the limit"),
    "short.tif": (lambda: one_strip(16000, 1000, 1, bytes(64)), "ends before the picture"),
    "strip.tif": (
        lambda: one_strip(
            64,
            64,
            7,
            imagecodecs.jpeg8_encode(np.zeros((64, 64), np.uint8)).replace(b"\0\x40\0\x40", b"\xff\xdc\xff\xdc", 1),
        ),
        "strip or tile claims 65500x65500 pixels",
    ),
    "huge.pgm": (lambda: b"P5 16000 16000 255\n" + bytes(64), "claims 16000x16000 pixels in"),
    "text.pgm": (lambda: b"P2 9000 9000 255\n0 ", "81000000 numbers written as text|claims 9000x9000"),
    "huge.tga": (lambda: struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65535, 65535, 24, 0), "limit"),
    "map.npy": (lambda: npy_of("(1000000, 1000000)"), "may be truncated"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_a_file_claims_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, words = BOMBS[name]
    file = tmp_path / name
    file.write_bytes(make())
    assert file.stat().st_size < 2**22
    for read in (read_image, read_mask):
        with pytest.raises(UserError, match=words) as caught:
            read(file)
        assert str(caught.value).startswith(f"{file}: ")
        assert len(str(caught.value).splitlines()) == 1


def test_texts_and_profiles_of_a_png_are_not_unpacked(tmp_path: Path) -> None:
    """64 MB of text in 64 kB, under the keywords that are looked at and under others: read, and no memory taken."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = zlib.compress(bytes(2**26), 9)
    extra = chunk(b"iCCP", b"p\0\0" + packed) + chunk(b"zTXt", b"Comment\0\0" + packed)
    extra += chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + packed) * 20
    (tmp_path / "x.png").write_bytes(png(8, 8, zlib.compress(b"".join(b"\0" + b"\7" * 24 for _ in range(8))), extra))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.full((8, 8, 3), 7))
    program = (
        "import re, sys, imagecodecs\nfrom perpixel.core.image import read_image\n"
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read()).group(1))\n"
        "before = peak()\nread_image(sys.argv[1])\nprint(peak() - before)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16 * 1024, "kilobytes; one of the texts has 65536"


@pytest.mark.parametrize("colour", ["grey", "rgb", "rgba"])
def test_a_picture_that_ends_early_inside_of_a_whole_png_is_refused(tmp_path: Path, colour: str) -> None:
    """Chunks and checksums are right; the rows that they unpack to are too few."""
    samples = {"grey": 1, "rgb": 3, "rgba": 4}[colour]
    whole = imagecodecs.png_encode(np.repeat(GREY[..., None], samples, 2).squeeze())
    at = whole.index(b"IDAT")
    length = int.from_bytes(whole[at - 4 : at], "big")
    rows = zlib.decompress(whole[at + 4 : at + 4 + length])[: 8 * (1 + 16 * samples)]
    packed = zlib.compress(rows)
    chunk = struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    (tmp_path / "x.png").write_bytes(whole[: at - 4] + chunk + whole[at + 8 + length :])
    for read in (read_image, read_mask):
        with pytest.raises(UserError, match="may be truncated"):
            read(tmp_path / "x.png")


LONG = "d" * 200


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a\0b.png", "a name cannot hold a NUL byte"),
        ("x" * 300 + ".png", "too long"),
        (os.path.join(*[LONG] * 30), "too long"),
        ("", "no such file"),
        (io.BytesIO(b"x"), "got BytesIO"),
        (None, "got NoneType"),
        (b"x.png", "got bytes"),
    ],
)
def test_what_is_no_path_of_a_file_is_said_in_one_line(path: object, words: str) -> None:
    for read in READERS:
        with pytest.raises(UserError, match=words) as caught:
            read(path)  # type: ignore[operator]
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 400


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    for read in (*READERS, as_array):
        with pytest.raises(UserError, match="the name is not UTF-8"):
            read(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX")
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path / "x.png", Path("/dev/zero")):
        for read in READERS:
            with pytest.raises(UserError, match="no such file"):
                read(path)
