"""Folders made on the spot from files of one pixel, and what a data set found in them."""

from pathlib import Path

import numpy as np
from PIL import Image

from perpixel.data.samples import Dataset


def make(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((1, 1), np.uint8)).save(root / name)
    return root


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [s.name for s in samples] for split, samples in dataset.splits.items()}


def pairs(dataset: Dataset) -> dict[str, set[tuple[str, str]]]:
    """Image and mask of every sample as paths below the root, by split."""

    def below(path: Path | None) -> str:
        assert path is not None
        return path.relative_to(dataset.root).as_posix()

    return {split: {(below(s.image), below(s.mask_path)) for s in found} for split, found in dataset.splits.items()}


def everything(dataset: Dataset) -> set[tuple[str, str]]:
    return set().union(*pairs(dataset).values())
