"""Text files as editors and systems write them."""

import codecs
from pathlib import Path

import pytest

from perpixel.core import text
from perpixel.core.errors import UserError
from perpixel.core.text import read_lines, read_text

WORDS = "slide 01 left\nGröße_2\n水质\n"
CRLF = WORDS.replace("\n", "\r\n")
WRITTEN = {
    "utf-8": WORDS.encode(),
    "crlf": CRLF.encode(),
    "lone cr": WORDS.replace("\n", "\r").encode(),
    "utf-8 with mark": b"\xef\xbb\xbf" + CRLF.encode(),
    "utf-16 little, as PowerShell writes": b"\xff\xfe" + CRLF.encode("utf-16-le"),
    "utf-16 big": b"\xfe\xff" + CRLF.encode("utf-16-be"),
    "utf-32": codecs.BOM_UTF32_LE + CRLF.encode("utf-32-le"),
    "utf-16 without mark": CRLF.encode("utf-16-le"),
    "utf-16 big without mark": CRLF.encode("utf-16-be"),
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_the_same_text_however_it_was_written(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert read_text(tmp_path / "a.txt") == WORDS
    assert read_lines(tmp_path / "a.txt") == ["slide 01 left", "Größe_2", "水质"]


def test_empty_files_are_empty_texts(tmp_path: Path) -> None:
    for data in (b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\n \r\n"):
        (tmp_path / "a.txt").write_bytes(data)
        assert read_lines(tmp_path / "a.txt") == []


REFUSED = {
    "latin-1": ("a\nb\nGröße".encode("latin-1"), "line 3: byte 0xf6"),
    "a photo": (b"\x89PNG\r\n\x1a\n", "byte 0x89"),
    "nul": (b"some words then\0", "NUL"),
    "half a utf-16 character": (b"\xff\xfea", "utf-16"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_text_is_refused_in_one_line(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(UserError, match=words) as refused:
        read_text(tmp_path / "a.txt")
    assert str(refused.value).startswith(f"{tmp_path / 'a.txt'}")
    assert "\n" not in str(refused.value)


def test_no_file_a_folder_a_nul_a_long_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("a\0b"), tmp_path / ("n" * 5000)):
        with pytest.raises(UserError, match=r"no such file|cannot be read"):
            read_text(path)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0123456789")
    assert read_text(tmp_path / "a.txt", most=10) == "0123456789"
    (tmp_path / "a.txt").write_text("0123456789a")
    with pytest.raises(UserError, match="11 bytes"):
        read_text(tmp_path / "a.txt", most=10)
    with (tmp_path / "sparse.txt").open("wb") as file:
        file.truncate(text.MAX_BYTES + 1)
    with pytest.raises(UserError, match="16,777,217 bytes"):
        read_lines(tmp_path / "sparse.txt")
