"""A tiny network and its bundle."""

from pathlib import Path

import pytest
import torch
from torch import nn

from perpixel.infer import BundleInfo, Predictor, Preprocessing, save_bundle
from perpixel.labels import Taxonomy
from perpixel.models import build

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
        channels=3,
        mean=PREPROCESSING.mean,
        std=PREPROCESSING.std,
        metrics={"mean_iou": 0.5},
        data={"name": "toy", "licence": "CC0"},
    )


@pytest.fixture
def bundle(tmp_path: Path, model: nn.Module, info: BundleInfo) -> Path:
    return save_bundle(tmp_path / "bundle", model, info)
