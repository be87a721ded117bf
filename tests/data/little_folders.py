"""Small images and masks, pairs of them in a folder, and the names that a data set found there."""

from pathlib import Path

import numpy as np
from PIL import Image

from perpixel.data.samples import Dataset


def image(path: Path, seed: int = 0, size: tuple[int, int] = (16, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)).save(path)


def mask(path: Path, values: tuple[int, ...] = (0, 1), size: tuple[int, int] = (16, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.array(values, np.uint8), size)).save(path)


def flat(root: Path, names: list[str], ending: str = ".png") -> Path:
    for i, name in enumerate(names):
        image(root / f"images/{name}{ending}", i)
        mask(root / f"masks/{name}.png")
    return root


def splits(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [s.name for s in found] for split, found in dataset.splits.items()}


TEN = [f"{i:02}" for i in range(10)]
