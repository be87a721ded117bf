"""Fixtures that every test may use."""

import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two test processes share two cores

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from perpixel.bundle import BundleInfo, Preprocessing, save_bundle
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy
from perpixel.models import build
from perpixel.train import Recipe, default_recipe, train

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, or a loud skip where it is absent (set PERPIXEL_DATA to it)."""
    folder = Path(os.environ.get("PERPIXEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {folder} is not a folder; set PERPIXEL_DATA to run this test")
    return folder


# A tiny network and its bundle

TAXONOMY = Taxonomy.of(["road", "sky", "car"], colours=[(128, 64, 128), (70, 130, 180), (0, 0, 142)])
PREPROCESSING = Preprocessing(3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return TAXONOMY


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(1)
    return build("unet", num_classes=3, width=2, padding="same").eval()


@pytest.fixture
def predictor(model: nn.Module) -> Predictor:
    return Predictor(model, PREPROCESSING, TAXONOMY, device="cpu")


@pytest.fixture
def info() -> BundleInfo:
    return BundleInfo(
        network="unet",
        options={"width": 2, "padding": "same"},
        taxonomy=TAXONOMY.to_dict(),
        preprocessing=PREPROCESSING,
        metrics={"mean_iou": 0.5},
        data={"name": "toy", "licence": "CC0"},
    )


@pytest.fixture
def bundle(tmp_path: Path, model: nn.Module, info: BundleInfo) -> Path:
    return save_bundle(tmp_path / "bundle", model, info)


# A tiny detector and its run

SQUARES = {
    "model.options": {
        "encoder": "resnet10t",
        "stride": 8,
        "channels": 32,
        "group": 3,
        "proposals": 40,
    },
    "data.crop": [64, 64],
    "data.workers": 0,
    "optimiser.lr": 0.003,
    "optimiser.ema": 0.9,
    "detection.loss": {"regions": 32},
    "batch_size": 2,
    "precision": "fp32",
    "steps": 6,
    "evaluate_every": 1.0,  # of 6 images by 2: every 3 steps
}


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 train and 3 val images of 64 x 72 pixels with bright (class "bright") and dark ("dark") squares on grey noise."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for kind in ("images", "masks", "instances"):
            (folder / kind / split).mkdir(parents=True)
        for n in range(count):
            image = rng.integers(90, 130, (64, 72, 3)).astype(np.uint8)
            mask, ids = np.zeros((64, 72), np.uint8), np.zeros((64, 72), np.uint16)
            for k, (x, y) in enumerate([(4, 4), (38, 8), (10, 36), (44, 40)][: 2 + n % 3]):
                side = int(rng.integers(12, 24))
                part = np.s_[y : y + side, x : x + side]
                image[part], mask[part], ids[part] = (250, 10)[k % 2], 1 + k % 2, 300 + k
            Image.fromarray(image).save(folder / "images" / split / f"{n}.png")
            Image.fromarray(mask).save(folder / "masks" / split / f"{n}.png")
            Image.fromarray(ids).save(folder / "instances" / split / f"{n}.png")
    described = {
        "masks": "masks",
        "classes": [{"name": n, "value": i} for i, n in enumerate(("background", "bright", "dark"))],
    }
    (folder / "dataset.yaml").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="session")
def detector_recipe(squares: Path) -> Recipe:
    return default_recipe("rfcn").changed({**SQUARES, "data.path": str(squares)})


@pytest.fixture(scope="session")
def detector_run(tmp_path_factory: pytest.TempPathFactory, detector_recipe: Recipe) -> Path:
    """The run of that recipe, uninterrupted."""
    run = tmp_path_factory.mktemp("runs") / "detector"
    train(detector_recipe, run)
    return run
