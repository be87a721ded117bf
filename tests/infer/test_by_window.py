"""A raster that is predicted by window has the labels of the whole; a stopped work goes on; an edit costs its tiles alone."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from perpixel.bundle import Preprocessing
from perpixel.core.georeference import read_georeference
from perpixel.core.windows import open_windows
from perpixel.infer import Predictor
from perpixel.infer.by_window import Work, predict_raster
from perpixel.labels import Taxonomy

SCALE, TIEPOINT = (33550, 12, 3, (2.0, 2.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 100000.0, 0.0), True)


class Local(nn.Module):
    """Sees four pixels to each side."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 4, 5, padding=2))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.body(image)}


@pytest.fixture
def local() -> Predictor:
    return Predictor(Local(), Preprocessing(3, (0.5,) * 3, (0.25,) * 3), Taxonomy.of("abcd"), device="cpu")


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 256, (401, 333, 3), dtype=np.uint8)
    write(tmp_path / "big.tif", image)
    return tmp_path / "big.tif"


def write(file: Path, image: np.ndarray) -> None:
    tifffile.imwrite(
        file,
        image,
        bigtiff=True,
        tile=(64, 48),
        compression="zlib",
        photometric="rgb",
        metadata=None,
        extratags=[SCALE, TIEPOINT],
    )


@pytest.mark.parametrize(
    "how", [{"tile": (64, 48)}, {"rowsperstrip": 7}, {"tile": (64, 64), "compression": "lzw", "predictor": True}]
)
@pytest.mark.parametrize("shape", [(130, 171, 3), (99, 50)])
def test_windows(tmp_path: Path, how: dict[str, object], shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 2**16, shape, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="rgb" if len(shape) == 3 else "minisblack", **how)
    with open_windows(tmp_path / "x.tif") as windows:
        assert windows is not None
        for rows, columns in [(slice(0, shape[0]), slice(0, shape[1])), (slice(63, 98), slice(47, 49))]:
            np.testing.assert_array_equal(windows.read(rows, columns), image.reshape(*shape[:2], -1)[rows, columns])


def test_the_same_as_the_whole(local: Predictor, raster: Path, tmp_path: Path) -> None:
    output, told = tmp_path / "out/big_labels.tif", []
    said = predict_raster(local, raster, output, 128, see=lambda n, of: told.append((n, of)))
    whole = local.predict(raster)
    assert said is not None
    assert told == [(n, 12) for n in range(1, 13)]
    np.testing.assert_array_equal(tifffile.imread(output), whole.labels)
    assert said["tiles"] == "tiles equal the whole"
    assert said["share"] == whole.summary()["share"]
    assert said["mean_confidence"] == pytest.approx(whole.mean_confidence, abs=1e-6)
    found, own = read_georeference(output), read_georeference(raster)
    assert found is not None
    assert own is not None
    assert found.affine == own.affine == (2.0, 0.0, 500000.0, 0.0, -2.0, 100000.0)
    assert sorted(p.name for p in output.parent.iterdir()) == ["big_labels.certificate.json", "big_labels.tif"]


class Killed(BaseException):
    pass


def test_goes_on_where_it_stopped(local: Predictor, raster: Path, tmp_path: Path) -> None:
    output = tmp_path / "big_labels.tif"

    def kill(done: int, of: int) -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        predict_raster(local, raster, output, 128, kill)
    assert not output.exists()
    with open(Work(output).journal, "a") as journal:
        journal.write('["5", "abc')  # half a line
    said = predict_raster(local, raster, output, 128)
    assert said is not None
    assert said["predicted"] == 7
    np.testing.assert_array_equal(tifffile.imread(output), local.predict(raster).labels)


def test_an_edit_costs_the_tiles_that_see_it(local: Predictor, raster: Path, tmp_path: Path) -> None:
    output, image = tmp_path / "big_labels.tif", tifffile.imread(raster)
    predict_raster(local, raster, output, 128)
    again = predict_raster(local, raster, output, 128)
    assert again is not None
    assert again["predicted"] == 0
    image[10:20, 10:20] = 0  # in the first tile's middle
    write(raster, image)
    edited = predict_raster(local, raster, output, 128)
    assert edited is not None
    assert edited["predicted"] == 1
    np.testing.assert_array_equal(tifffile.imread(output), local.predict(raster).labels)
    with torch.no_grad():
        next(local.model.parameters()).add_(0.1)
    other = predict_raster(local, raster, output, 128)
    assert other is not None
    assert other["predicted"] == 12
    np.testing.assert_array_equal(tifffile.imread(output), local.predict(raster).labels)


def test_what_does_not_go_by_window(local: Predictor, raster: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((90, 90), np.float32))
    assert predict_raster(local, tmp_path / "float.tif", tmp_path / "a.tif") is None
    local.__dict__["_halo"] = None
    assert predict_raster(local, raster, tmp_path / "b.tif", 64) is None
