"""The one reader of a stranger's text files: lists of names, dataset.yaml, recipes, tables of classes."""

import codecs
import os
from pathlib import Path

from perpixel.core.errors import UserError

MAX_BYTES = 16 * 2**20
"""A text file of more bytes is refused before it is read."""

_MARKS = (  # UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: str | Path, most: int = MAX_BYTES) -> str:
    """A text file's contents with a line feed at every line's end, whatever system wrote it.

    UTF-8 with or without a byte order mark, and UTF-16 and UTF-32 with one; UTF-16 without a mark where many of the
    even bytes are zero and none of the odd ones, or the other way round.

    Raises:
        UserError: no such file, more than `most` bytes, or not text in one of these encodings.
    """
    data = _bytes(Path(path), most)
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", _without_mark(data)))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = data[len(mark) + error.start]
        raise UserError(f"{path}, line {line}: byte 0x{byte:02x} is no {encoding}; save the file as UTF-8") from error
    if "\0" in text:
        raise UserError(f"{path}: holds NUL characters, so it is no text file; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file that hold something, without the white space around them.

    Raises:
        UserError: as `read_text`.
    """
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def with_slashes(name: str) -> str:
    r"""A path in a text file as this system writes it: Windows' backslashes become slashes.

    >>> with_slashes(r"images\a\1.png")
    'images/a/1.png'
    """
    return name.replace("\\", "/")


def _bytes(path: Path, most: int) -> bytes:
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path; UserError is one
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(data) > most:
        raise UserError(f"{path}: {max(size, len(data)):,} bytes, where such a text file has {most:,} at most")
    return data


def _without_mark(data: bytes) -> str:
    high, low = data[1:4096:2].count(0), data[:4096:2].count(0)
    if min(high, low) or 6 * max(high, low) < len(data[:4096]):
        return "utf-8"
    return "utf-16-le" if high else "utf-16-be" if low else "utf-8"
