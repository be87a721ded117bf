"""What is done of a long piece of work, as lines of JSON: an interrupted one goes on from there.

The first line says what the work is; each line after it is one finished piece. A line that was cut off by a crash is dropped.
"""

import base64
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.files import write_text
from perpixel.core.image import Array


class Journal:
    """A file of finished pieces.

    Args:
        file: is made if it is not there.
        work: what is worked on, as JSON; pieces of other work are never taken over.

    Raises:
        UserError: the file holds pieces of other work.
    """

    def __init__(self, file: Path, work: dict[str, Any]) -> None:
        self.file = file
        self.pieces: list[dict[str, Any]] = []
        lines = whole_lines(file)
        if not lines:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(work) + "\n")
            return
        before = json.loads(lines[0])
        if changed := [k for k in {**before, **work} if before.get(k) != json.loads(json.dumps(work)).get(k)]:
            raise UserError(
                f"{file}: holds work with another {changed[0]} ({shown(before.get(changed[0]))}, now "
                f"{shown(work.get(changed[0]))}); give another --out, or remove it to begin anew"
            )
        self.pieces = [json.loads(line) for line in lines[1:]]
        write_text(file, "".join(f"{line}\n" for line in lines))

    def add(self, piece: dict[str, Any]) -> None:
        """Writes one finished piece at the end of the file.

        Raises:
            OSError: it cannot be written; `filename` is the journal's, and what was in it stays as it was.
        """
        size = self.file.stat().st_size
        try:
            with open(self.file, "a", encoding="utf-8") as file:
                file.write(json.dumps(piece) + "\n")
        except OSError as error:
            os.truncate(self.file, size)
            raise OSError(error.errno, error.strerror, str(self.file)) from error
        self.pieces.append(piece)


def whole_lines(file: Path) -> list[str]:
    """The lines of a file that end in a line break and are JSON, up to the first that is not."""
    if not file.is_file():
        return []
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if not line.endswith("\n") or not _is_object(line):
            break
        found.append(line[:-1])
    return found


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def shown(value: Any, most: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."


def pack(values: Array) -> str:
    """An array of numbers as text: float32, compressed."""
    return base64.b64encode(zlib.compress(values.astype(np.float32).tobytes())).decode()


def unpack(text: str, shape: tuple[int, ...]) -> Array:
    """What `pack` packed, as float64."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.float32).reshape(shape).astype(np.float64)
