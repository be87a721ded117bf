"""Files that are written whole or not at all, and hashes that say whether one was altered."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perpixel.core.errors import UserError

_UMASK = os.umask(0)
os.umask(_UMASK)
_LEFTOVER = re.compile(r"\..+?(?:\.(\d+))?\.partial(?:\.[^.]*)?", re.DOTALL)
LONGEST_NAME = 255
"""Bytes of a file's name, on every usual file system."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Gives a path aside to write to; on success it is flushed to the disk and renamed over `path`.

    After an error (a full disk, an interrupt) the old file is as it was and nothing is left aside. After a kill something may
    be left, which `clean_leftovers` removes.

    Raises:
        OSError: the file cannot be written; its `filename` is `path`, not the one aside.
    """
    path = Path(path)
    aside = _aside(path)
    try:
        yield aside
        flush(aside)
        os.chmod(aside, 0o666 & ~_UMASK)  # some writers make files that only their owner can read
        os.replace(aside, path)
        flush(path.parent)
    except OSError as error:
        if error.errno is None or (error.filename is not None and Path(os.fsdecode(error.filename)) != aside):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # the name that the user knows of
    finally:
        aside.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """A hidden name beside a file, with its ending, by which writers choose their format."""
    end = f".{os.getpid()}.partial{path.suffix}"
    if len(os.fsencode(f".{path.name}{end}")) > LONGEST_NAME:
        return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{end}")
    return path.with_name(f".{path.name}{end}")


def flush(path: Path) -> None:
    """Makes a file, or the names in a folder, last through a loss of power."""
    if path.is_dir():
        with suppress(OSError):  # not every system opens folders
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file whole or not at all."""
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")


def clean_leftovers(folder: str | Path) -> None:
    """Removes what a killed process left half-written in a folder: `.NAME.PID.partial.END` and `.NAME.partial`.

    What another living process is writing stays. A folder that does not exist or cannot be read is left alone.
    """
    with suppress(OSError):
        for path in Path(folder).iterdir():
            found = _LEFTOVER.fullmatch(path.name)
            if found is None or _is_anothers(found[1]):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_anothers(pid: str | None) -> bool:
    """Whether a process of this number is running and is not this one."""
    if pid is None or int(pid) == os.getpid():
        return False
    if os.name == "nt":
        return True  # asking as below would end the process there
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError as error:
        return error.errno == errno.EPERM  # another user's
    return True


def ready(file: str | Path) -> None:
    """Makes the folder of a file that long work will write at its end, so that it is not in vain.

    Raises:
        UserError: `file` is a folder.
        OSError: the folder cannot be made or written to, or the name is too long.
    """
    file = Path(file)
    if file.is_dir():
        raise UserError(f"{file} is a folder; give the name of a file in it")
    file.parent.mkdir(parents=True, exist_ok=True)
    _aside(file).touch()
    _aside(file).unlink()


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
