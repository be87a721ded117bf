"""`perpixel` in this process, and something to call it with."""

import sys
from pathlib import Path

import pytest

from perpixel import cli
from perpixel.data.scenes import write_scenes
from perpixel.labels import Taxonomy

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Done, Perpixel, small_unet


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
    return small_unet(tmp_path_factory.mktemp("bundle"), Taxonomy.of(["road", "sky", "car"]))


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=3, val=2, size=(48, 64))
    return folder
