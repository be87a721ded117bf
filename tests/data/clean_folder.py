"""A clean folder of photos and binary masks, to be spoiled by a test of check."""

from pathlib import Path

import numpy as np
from PIL import Image

from perpixel.data.faults import Finding

Array = np.ndarray
NAMES = [f"p{i}" for i in range(8)]


def photo(seed: int, size: tuple[int, int] = (40, 60), channels: int = 3) -> Array:
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def blobs(seed: int, values: tuple[int, ...] = (0, 255), size: tuple[int, int] = (40, 60)) -> Array:
    """Rectangles of each value, at a place that depends on the seed."""
    mask = np.full(size, values[0], np.uint8)
    step = size[1] // len(values)
    for i, value in enumerate(values[1:], 1):
        mask[3 + seed % 7 : 30 + seed % 5, i * step : (i + 1) * step - seed % 3] = value
    return mask


def save(array: Array, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file)


def flat(root: Path, values: tuple[int, ...] = (0, 255), lists: bool = True) -> Path:
    """Eight clean pairs, six in train and two in val."""
    for i, name in enumerate(NAMES):
        save(photo(i), root / "images" / f"{name}.png")
        save(blobs(i, values), root / "masks" / f"{name}.png")
    if lists:
        (root / "train.txt").write_text("\n".join(NAMES[:6]) + "\n")
        (root / "val.txt").write_text("\n".join(NAMES[6:]) + "\n")
    return root


def the_one(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, [f.text for f in findings]
    return findings[0]
