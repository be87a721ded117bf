"""predict takes a raster by window above --memory, with the labels of the usual way."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from perpixel.cli import app
from perpixel.cli.rasters import budget
from perpixel.core.errors import UserError


def test_by_window_above_the_budget(bundle: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (150, 210, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "big.tif", image, tile=(64, 64), photometric="rgb")
    Image.fromarray(image[:40, :40]).save(tmp_path / "small.png")
    files = [str(tmp_path / "big.tif"), str(tmp_path / "small.png"), "--model", str(bundle)]

    def run(out: str, *more: str) -> str:
        result = CliRunner().invoke(app, ["predict", *files, "--out", str(tmp_path / out), *more])
        assert result.exit_code == 0, result.output
        return result.output

    assert "tiles" not in run("whole", "--memory", "2GB")
    assert "big.tif: 1 of 1 tiles" in run("window", "--memory", "20KB")
    labels = tifffile.imread(tmp_path / "window/big_labels.tif")
    np.testing.assert_array_equal(labels, np.asarray(Image.open(tmp_path / "whole/big.png")))
    summary = json.loads((tmp_path / "window/summary.json").read_text())["images"]
    assert summary[files[0]]["files"] == {"geotiff": "big_labels.tif", "summary": "big.json"}
    assert summary[files[1]]["files"]["labels"] == "small.png"
    assert not (tmp_path / "window/big.png").exists()
    assert "cannot answer for it by window" not in run("again", "--memory", "20KB")


@pytest.mark.parametrize("text", ["two", "-1", "0GB", "2PB"])
def test_no_size(text: str) -> None:
    with pytest.raises(UserError, match="--memory takes a size such as 2GB"):
        budget(text)
