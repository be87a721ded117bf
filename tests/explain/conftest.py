"""A small set of three classes whose images show them by colour, and its samples."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data.folders import open_dataset
from perpixel.data.samples import Dataset

SHAPE = (48, 64)


def labels_of(number: int) -> np.ndarray:
    """Sky over road, a car that moves to the right, and an ignored corner."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[:20] = 1
    labels[24:36, 6 + 5 * number : 26 + 5 * number] = 2
    labels[40:, :8] = 255
    return labels


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """3 train and 4 val images, named by their sequence, and their classes in a dataset.yaml."""
    for split, count in (("train", 3), ("val", 4)):
        for kind in ("images", "masks"):
            (tmp_path / "data" / kind / split).mkdir(parents=True)
        for i in range(count):
            labels, name = labels_of(i), f"{'ab'[i % 2]}_{i}.png"
            noise = np.random.default_rng(i).integers(0, 40, (*SHAPE, 3))
            image = (np.minimum(labels, 3)[..., None] * 60 + noise).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "data" / "images" / split / name)
            Image.fromarray(labels).save(tmp_path / "data" / "masks" / split / name)
    (tmp_path / "data" / "dataset.yaml").write_text("name: toy\nclasses: [road, sky, car]\nignore: [255]\n")
    return open_dataset(tmp_path / "data")
