"""A network takes the bands that are named, in that order, from files that hold more; and says so."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from perpixel import load
from perpixel.bundle import Preprocessing
from perpixel.cli import app
from perpixel.core.errors import UserError
from perpixel.data.bands import Bands, chosen, find_bands, scattered
from perpixel.data.folders import open_dataset
from perpixel.train.recipe import DataPart, ModelPart, Recipe
from perpixel.train.setup import set_up

NAMES = ("blue", "green", "red", "nir", "swir")
RNG = np.random.default_rng(3)
LEFT = np.arange(32) < 16


def picture(informative: int = 3) -> np.ndarray:
    """(32, 32, 5) of uint16 noise whose band `informative` (from 0) is bright on the left half."""
    image = RNG.integers(900, 1100, (32, 32, 5), dtype=np.uint16)
    image[..., informative] += np.where(LEFT, 3000, 0).astype(np.uint16)
    return image


def folder(root: Path, bands: tuple[str, ...] = NAMES, n: int = 6) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i in range(n):
        tifffile.imwrite(root / f"images/{i}.tif", picture(), photometric="minisblack", planarconfig="contig")
        Image.fromarray(np.broadcast_to(LEFT, (32, 32)).astype(np.uint8)).save(root / f"masks/{i}.png")
    named = f"bands: [{', '.join(bands)}]\n" if bands else ""
    (root / "dataset.yaml").write_text(named + "classes: [right, left]\nsplits: {train: [0, 1, 2, 3], val: [4, 5]}\n")
    return root


def recipe(data: Path, bands: tuple[int | str, ...] | None) -> Recipe:
    part = DataPart(path=str(data), bands=bands, crop=(32, 32))
    return Recipe(data=part, model=ModelPart(name="unet", options={"width": 4}))


def test_by_number_and_by_name() -> None:
    assert find_bands(("nir", 3), NAMES, 5) == Bands((4, 3), 5, ("nir", "red"))
    assert find_bands((7, 1), (), 9) == Bands((7, 1), 9)
    assert find_bands(None, NAMES, 5) is None
    assert Bands((4, 3), 5, ("nir", "red")).words == "bands 4 (nir), 3 (red) of 5"


@pytest.mark.parametrize(
    ("wanted", "names", "said"),
    [
        ((6,), NAMES, "numbered from 1 to 5 here, got \\[6\\]"),
        ((0,), (), "numbered from 1 to 5"),
        ((2, 2), (), "each band once, got \\[2, 2\\]"),
        (("nir", 4), NAMES, "each band once"),
        (("nri",), NAMES, 'no band "nri"; those of this data set are blue, green, red, nir, swir.*nir'),
        (("nir",), (), "dataset.yaml names none"),
        ((), NAMES, "each band once"),
        (None, ("red", "green"), "names 2 bands \\(red, green\\), but the images have 5"),
    ],
)
def test_what_is_not_there_is_refused(wanted: tuple[int | str, ...] | None, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_bands(wanted, names, 5)


def test_chosen_and_scattered() -> None:
    image, bands = RNG.integers(0, 255, (4, 6, 5), dtype=np.uint8), Bands((5, 1), 5)
    np.testing.assert_array_equal(chosen(image, bands, ""), np.stack([image[..., 4], image[..., 0]], -1))
    assert scattered((0.2, 0.7), bands) == (0.7, 0.0, 0.0, 0.0, 0.2)
    with pytest.raises(UserError, match=r"x\.tif: the model takes bands 5, 1 of 5, this image has 3"):
        chosen(image[..., :3], bands, "x.tif")


@pytest.mark.parametrize("text", ["bands: red\n", "bands: [red, red]\n", "bands: [[red]]\n"])
def test_names_in_a_dataset_yaml(tmp_path: Path, text: str) -> None:
    root = folder(tmp_path / "d", bands=())
    yaml = root / "dataset.yaml"
    yaml.write_text(text + yaml.read_text())
    with pytest.raises(UserError, match=r'dataset\.yaml: "bands"'):
        open_dataset(root)


def test_names_are_texts_as_written(tmp_path: Path) -> None:
    assert open_dataset(folder(tmp_path, bands=("01", "8A", "no", "1e3", "12"))).bands == (
        "01",
        "8A",
        "no",
        "1e3",
        "12",
    )


def test_training_reads_these_bands_in_this_order(tmp_path: Path) -> None:
    root = folder(tmp_path)
    setup = set_up(recipe(root, ("nir", 1)))
    stored = tifffile.imread(root / "images/2.tif")
    image, _ = setup.training_set.decode(2)
    np.testing.assert_allclose(image.numpy() * 65535, stored[..., [3, 0]].transpose(2, 0, 1), atol=0.01)
    assert setup.preprocessing.bands == Bands((4, 1), 5, ("nir", "blue"))
    pixels = np.concatenate([tifffile.imread(root / f"images/{i}.tif").reshape(-1, 5) for i in range(4)]) / 65535
    np.testing.assert_allclose(
        setup.preprocessing.mean, pixels.mean(0)[[3, 0]], rtol=0.01
    )  # every 7th pixel is measured
    np.testing.assert_allclose(setup.preprocessing.std, pixels.std(0)[[3, 0]], rtol=0.02)
    assert "bands 4 (nir), 1 (blue) of 5" in setup.lines()[0]
    assert setup.preprocessing.mean_of_bands[1:3] == (0, 0)


def test_prediction_takes_them_from_a_file_and_from_an_array() -> None:
    takes = Preprocessing(2, (0.1, 0.2), (1.0, 1.0), dtype="uint16", value_range=(0, 65535), bands=Bands((5, 2), 5))
    image = picture()
    tensor = takes(image)
    expected = torch.from_numpy(image[..., [4, 1]].astype(np.float32) / 65535).permute(2, 0, 1)
    torch.testing.assert_close(tensor[0], expected - torch.tensor([0.1, 0.2])[:, None, None], rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="bands 5, 2 of 5, this image has 2"):
        takes(image[..., :2])
    with pytest.raises(UserError, match="2 bands are taken, but the network has 3 channels"):
        Preprocessing(3, (0.0,) * 3, (1.0,) * 3, bands=Bands((5, 2), 5))


def test_from_training_to_a_prediction_on_the_command_line(tmp_path: Path) -> None:
    """Only band 4 tells the halves apart: a model of bands 4 and 2 learns them, and its bundle knows which it takes."""
    root, out = folder(tmp_path / "data"), tmp_path / "run"
    options = ["--set", 'data.bands=["nir", 2]', "--set", "model.options={width: 8}", "--crop", "32x32"]
    options += ["--set", "steps=60", "--batch-size", "4", "--set", "optimiser.lr=0.003", "--out", str(out)]
    result = CliRunner().invoke(app, ["train", str(root), "--model", "unet", *options])
    assert result.exit_code == 0, result.output
    assert "bands 4 (nir), 2 (green) of 5" in result.output
    assert json.loads((out / "best/model.json").read_text())["bands"] == {
        "taken": [4, 2],
        "of": 5,
        "names": ["nir", "green"],
    }
    predictor = load(out)
    assert (predictor.predict(root / "images/5.tif").labels == LEFT).mean() > 0.95
    swapped = tifffile.imread(root / "images/5.tif")[..., [0, 1, 2, 4, 3]]
    assert (predictor.predict(swapped).labels == LEFT).mean() < 0.9
    with pytest.raises(UserError, match=r"bands 4 \(nir\), 2 \(green\) of 5"):
        predictor.predict(swapped[..., :3])
