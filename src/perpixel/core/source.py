"""An image file before it is trusted: where it lies, how it begins, and how much it may claim of memory and time.

A file says its own size, and a few bytes can say anything. Every reader asks here before it decodes; the bounds were
chosen so that a file of some kilobytes costs no more than 5 seconds or 1 GB above its own pixels (benchmarks/readers.py).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import UnidentifiedImageError

from perpixel.core.errors import UserError

ANY_FILE = 2**24
"""So many pixels any file may claim, however short: a blank mask is a few bytes in some formats."""

PIXELS_PER_BYTE = 2**14
"""Beyond `ANY_FILE`, so many pixels a byte of the file may claim; deflate packs at most 8,256 (1 bit a pixel)."""

BYTES_PER_BYTE = 128
"""Beyond 3 bytes for each of the pixels allowed, so many decoded bytes a byte of the file may claim."""

_HEAD = 64


@dataclass(frozen=True)
class Header:
    """height and width as stored; orientation, the EXIF tag, 1 to 8."""

    height: int
    width: int
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """(H, W) after the orientation is applied."""
        turned = self.orientation in (5, 6, 7, 8)
        return (self.width, self.height) if turned else (self.height, self.width)


@dataclass(frozen=True)
class Source:
    """A file that exists and is not empty: its length in bytes, its first bytes, and how many pixels it may claim."""

    path: Path
    length: int
    head: bytes
    max_pixels: int

    @classmethod
    def of(cls, path: Path, max_pixels: int) -> "Source":
        """Looks at a file. Raises UserError where there is none, it is empty, or it cannot be opened."""
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: no such file")
        if status.st_size == 0:
            raise UserError(f"{path}: the file is empty (0 bytes); replace or remove it")
        with open(path, "rb") as file:
            return cls(path, status.st_size, file.read(_HEAD), max_pixels)

    def read(self, limit: int) -> bytes:
        """The first `limit` bytes, or all of a shorter file."""
        with open(self.path, "rb") as file:
            return file.read(min(limit, self.length))

    def fault(self, text: str) -> UserError:
        """The error that says what is wrong with this file."""
        return UserError(f"{self.path}: {text}")

    def check(self, height: int, width: int, samples: int = 1, sample_bytes: int = 1) -> None:
        """Refuses what the file claims to hold, before memory is asked for.

        Raises:
            UserError: more pixels than `max_pixels`, or than a file of this length can hold.
        """
        pixels, claim = height * width, f"claims {width}x{height} pixels"
        if pixels > self.max_pixels:
            raise self.fault(
                f"{claim}, more than the limit of {self.max_pixels}; set PERPIXEL_MAX_PIXELS if that is really its size"
            )
        if pixels > max(ANY_FILE, PIXELS_PER_BYTE * self.length):
            raise self.fault(f"{claim} in {self.length} bytes, more than they can hold; save it again as PNG")
        needed = pixels * samples * sample_bytes
        if needed > max(3 * self.max_pixels, BYTES_PER_BYTE * self.length):
            raise self.fault(
                f"{claim} of {samples} channels, {needed / 1e9:.1f} GB in {self.length} bytes, "
                "more than they can hold; save it again with less compression"
            )
        if needed > _memory():
            raise self.fault(f"{claim} of {samples} channels, {needed / 1e9:.1f} GB: it does not fit into memory")


def as_path(path: object) -> Path:
    """The path of a file, whose name can be printed.

    Raises:
        UserError: it is no path, or its name holds a NUL byte or is not UTF-8.
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(
            f"expected the path of an image file, got {type(path).__name__}; write its bytes to a file first"
        )
    text = os.fsdecode(path)
    if "\0" in text:
        raise UserError(f"{text!r}: no such file, a name cannot hold a NUL byte")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{text!a}: the name is not UTF-8; rename the file") from None
    return Path(text)


@contextmanager
def in_one_line(path: Path) -> Iterator[None]:
    """Whatever a decoder raises becomes one line that names the file."""
    try:
        yield
    except UserError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not an image in a format that can be read") from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory") from error
    except Exception as error:  # decoders raise whatever they like on a broken file
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{_shown(path)}: cannot be opened ({error.strerror})") from error
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: cannot be read as an image, it may be truncated ({first})") from error


def _shown(path: Path) -> str:
    """The path, or of one that is longer than any screen its ends."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:100]} ... {text[-100:]}"


def _memory() -> int:
    """Bytes of memory of this machine, or 64 GiB where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 64 * 2**30
