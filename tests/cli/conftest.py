"""`perpixel` in this process, and something to call it with."""

import sys
from pathlib import Path

import pytest
import torch

from perpixel import cli
from perpixel.bundle import BundleInfo, save_bundle
from perpixel.data.scenes import write_scenes
from perpixel.labels import Taxonomy
from perpixel.models import build

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Done, Perpixel


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Perpixel:
    """`perpixel ARGUMENTS` in this process."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["perpixel", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        return Done(status, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    info = BundleInfo(
        network="unet",
        options={"width": 2, "padding": "same"},
        taxonomy=Taxonomy.of(["road", "sky", "car"]).to_dict(),
        channels=3,
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
    )
    model = build("unet", num_classes=3, width=2, padding="same")
    return save_bundle(tmp_path_factory.mktemp("bundle"), model, info)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=3, val=2, size=(48, 64))
    return folder
