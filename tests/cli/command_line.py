"""What a call of the command line gave, and the one line that a user's fault is told in."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from perpixel.bundle import BundleInfo, save_bundle
from perpixel.labels import Taxonomy
from perpixel.models import build


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


def small_unet(folder: Path, taxonomy: Taxonomy) -> Path:
    """A bundle of a U-Net with fresh weights, always the same."""
    torch.manual_seed(0)
    options = {"width": 2, "padding": "same"}
    info = BundleInfo(
        network="unet", options=options, taxonomy=taxonomy.to_dict(), channels=3, mean=(0.5,) * 3, std=(0.3,) * 3
    )
    return save_bundle(folder, build("unet", num_classes=taxonomy.num_classes, **options), info)


def assert_one_line(done: Done, *said: str) -> None:
    assert done.status == 2, done
    lines = [line for line in done.err.splitlines() if line.startswith("perpixel: ")]
    assert len(lines) == 1, done.err
    assert len(done.err.strip().splitlines()) <= 2, done.err
    assert "Traceback" not in done.err
    assert [words for words in said if words not in done.err] == []
