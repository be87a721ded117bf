"""Tiny scenes, and a recipe that trains on them in a second or two."""

from pathlib import Path

import pytest

from perpixel.data.scenes import write_scenes
from perpixel.train import Recipe, train

TINY = {
    "model.name": "fast_scnn",
    "model.options": {"dropout": 0.3},
    "data.crop": [32, 32],
    "data.workers": 0,
    "optimiser.lr": 0.002,
    "optimiser.ema": 0.9,
    "batch_size": 2,
    "accumulate": 2,
    "precision": "fp32",
    "steps": 7,
    "evaluate_every": 2.4,  # of 5 images by 4: every 3 steps
}


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 train and 3 val scenes of 48 x 64 pixels."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=5, val=3, size=(48, 64))
    return folder


@pytest.fixture(scope="session")
def tiny(scenes: Path) -> Recipe:
    return Recipe().changed({**TINY, "data.path": str(scenes)})


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: Recipe) -> Path:
    """The run of that recipe, uninterrupted."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny, run)
    return run
