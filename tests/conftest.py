"""Fixtures that every test may use."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two test processes share two cores

from pathlib import Path

import pytest
import torch
from torch import nn

from perpixel.bundle import BundleInfo, Preprocessing, save_bundle
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy
from perpixel.models import build

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
