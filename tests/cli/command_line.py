"""What a call of the command line gave, and the one line that a user's fault is told in."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Done(NamedTuple):
    status: int
    out: str
    err: str


Perpixel = Callable[..., Done]


def picture(file: Path, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return file


def assert_one_line(done: Done, *said: str) -> None:
    assert done.status == 2, done
    lines = [line for line in done.err.splitlines() if line.startswith("perpixel: ")]
    assert len(lines) == 1, done.err
    assert len(done.err.strip().splitlines()) <= 2, done.err
    assert "Traceback" not in done.err
    assert [words for words in said if words not in done.err] == []
