"""Tensors on disk: safetensors, written whole or not at all, read only where their hash is the one expected."""

import errno
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from perpixel.bundle.info import one_line
from perpixel.core.errors import UserError
from perpixel.core.files import atomic_write


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors by name; the old file stays as it was until the new one is on the disk.

    Raises:
        OSError: the disk is full or the folder cannot be written to; it names `file`.
    """
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with atomic_write(file) as aside:
        try:
            save_file(plain, aside)
        except SafetensorError as error:
            raise _as_the_system_said(error) from error


def _as_the_system_said(error: SafetensorError) -> OSError:
    """safetensors wraps what the system said of a full disk; only the number is left of it."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code))


def read_tensors(file: Path, sha256: str) -> dict[str, Tensor] | None:
    """The tensors of a file whose bytes have this hash, which are read once; None where there is no such file.

    Raises:
        UserError: the bytes are the expected ones, and no safetensors.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != sha256:
        return None
    try:
        return dict(sorted(load(content).items()))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file}: not a safetensors file ({one_line(error)})") from error
