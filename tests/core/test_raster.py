"""Where a raster's numbers mean something, and when a band that is tagged as alpha is one."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from perpixel.core.image import read_image, read_raster

RNG = np.random.default_rng(0)
SHAPE = (20, 30)
COLOURS = RNG.integers(1, 255, (*SHAPE, 3), dtype=np.uint8)
INFRARED = RNG.integers(20, 200, (*SHAPE, 1), dtype=np.uint8)
CUT_OUT = np.where(np.indices(SHAPE)[0] < 12, 255, 0).astype(np.uint8)[..., None]


def saved(file: Path, values: np.ndarray, nodata: str = "", **options: object) -> Path:
    tags = [(42113, 2, 0, nodata, True)] if nodata else []  # GDAL's
    tifffile.imwrite(file, values, extratags=tags, metadata=None, **options)
    return file


@pytest.mark.filterwarnings("error")  # numpy's would reach the user
@pytest.mark.parametrize(
    ("values", "nodata"),
    [
        (np.float32([[0.5, -9999], [1, 2]]), "-9999"),
        (np.float32([[0.5, -9999], [1, 2]]), "-9999.0 "),
        (np.float32([[0.5, np.nan], [1, 2]]), "nan"),
        (np.float32([[0.5, np.inf], [1, 2]]), ""),
        (np.float32([[0.5, -3.4028234663852886e38], [1, 2]]), "-3.40282346638529e+38"),  # rounded, as GDAL writes it
        (np.float64([[0.5, -1e99], [1, 2]]), "-1e+99"),
        (np.float64([[0.5, 1e99], [1, 2]]), ""),  # beyond float32
        (np.uint16([[7, 65535], [1, 2]]), "65535"),
        (np.int16([[7, -32768], [1, 2]]), "-32768"),
        (np.uint8([[7, 9], [1, 2]]), "9"),
    ],
)
def test_no_data_is_0_and_known(tmp_path: Path, values: np.ndarray, nodata: str) -> None:
    raster = read_raster(saved(tmp_path / "x.tif", values, nodata))
    assert raster.valid is not None
    assert raster.valid[..., 0].tolist() == [[True, False], [True, True]]
    assert raster.array[..., 0].tolist() == [[values[0, 0], 0], [1, 2]]
    assert raster.measured().tolist() == [[True, False], [True, True]]
    white = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(raster.array.dtype, 1)
    assert raster.filled([5.0 / white])[..., 0].tolist() == [[values[0, 0], 5], [1, 2]]


@pytest.mark.parametrize("nodata", ["", "-9999", "300", "0.5", "none"])
def test_bytes_without_that_number_are_all_valid(tmp_path: Path, nodata: str) -> None:
    raster = read_raster(saved(tmp_path / "x.tif", COLOURS[..., 0], nodata))
    assert raster.valid is None
    assert raster.measured().all()
    np.testing.assert_array_equal(raster.array[..., 0], COLOURS[..., 0])


def test_a_pixel_is_measured_where_any_channel_is(tmp_path: Path) -> None:
    values = np.ones((2, 2, 4), np.float32)
    values[0, 0, 1], values[1, 1] = -1, -1
    raster = read_raster(saved(tmp_path / "x.tif", values, "-1", photometric="minisblack", planarconfig="contig"))
    assert raster.measured().tolist() == [[True, True], [True, False]]


def test_a_band_that_is_tagged_as_alpha_is_one_where_it_behaves_like_one(tmp_path: Path) -> None:
    """rasterio tags the fourth of four bands as alpha where nothing else is said."""
    for band, wanted, said in (
        (INFRARED, 4, "kept"),
        (CUT_OUT, 3, "dropped"),
        (CUT_OUT * 0 + 255, 3, ""),
        (CUT_OUT * 0 + 7, 3, ""),
    ):
        values = np.concatenate([COLOURS, band], axis=2)
        file = saved(tmp_path / "x.tif", values, photometric="rgb", extrasamples=["unassalpha"])
        raster = read_raster(file)
        np.testing.assert_array_equal(raster.array, values[..., :wanted])
        assert raster.alpha == said
        np.testing.assert_array_equal(read_image(file, channels=4), values)
        np.testing.assert_array_equal(read_image(file, channels=3), COLOURS)
