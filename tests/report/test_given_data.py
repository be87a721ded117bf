"""`perpixel report RUN --data DATA` measures on DATA, not on what the run was trained on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from perpixel.bundle import BundleInfo, save_bundle
from perpixel.core.errors import UserError
from perpixel.report import write_report
from perpixel.train import Recipe


def data_of(root: Path, images: int) -> Path:
    """So many val pairs of all three classes."""
    mask = np.repeat(np.arange(3, dtype=np.uint8), 8)[None].repeat(20, 0)
    for kind, array in (("images", np.full((*mask.shape, 3), 90, np.uint8)), ("masks", mask)):
        (root / kind / "val").mkdir(parents=True)
        for i in range(images):
            Image.fromarray(array).save(root / kind / "val" / f"{i}.png")
    names = "".join(f"  - {{name: {name}, values: {i}}}\n" for i, name in enumerate(("road", "sky", "car")))
    (root / "dataset.yaml").write_text(f"name: {root.name}\nclasses:\n{names}")
    return root


def test_of_a_segmentation_run(tmp_path: Path, model: nn.Module, info: BundleInfo) -> None:
    run, own, other = tmp_path / "run", data_of(tmp_path / "own", 2), data_of(tmp_path / "other", 3)
    run.mkdir()
    Recipe(steps=3).changed({"data.path": str(own)}).save(run / "recipe.yaml")
    save_bundle(run / "best", model, info)
    assert "2 images of split val" in write_report(run).read_text()
    page = write_report(run, str(other)).read_text()
    assert "3 images of split val" in page and str(other) in page
    with pytest.raises(UserError, match="no such folder"):
        write_report(run, str(tmp_path / "nowhere"))


def test_of_a_detector(tmp_path: Path, detector_run: Path, squares: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(detector_run, run)
    shutil.copytree(squares, other)
    kept = sorted((other / "images" / "val").iterdir())[0].name
    for file in other.glob("*/val/*"):
        if file.name != kept:
            file.unlink()
    steps: list[tuple[int, int]] = []

    class Told:
        def line(self, text: str) -> None: ...

        def step(self, done: int, total: int, text: str = "") -> None:
            steps.append((done, total))

    write_report(run, report=Told())
    assert steps[-1] == (3, 3)
    write_report(run, str(other), report=Told())
    assert steps[-1] == (1, 1)
