"""Files predicted one after the other: a map's label map lies where the map does, and the model says how many bands are wanted."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from perpixel.cli.images import find_images
from perpixel.infer import Predictor
from perpixel.infer.many import Job, predict_files

UTM_33 = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633)
GEO = [
    (33550, 12, 3, (0.5, 0.5, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 5200000.0, 0.0), True),
    (34735, 3, len(UTM_33), UTM_33, True),
]
RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_geotiff_gives_a_geotiff(predictor: Predictor, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "map.tif", RGB, photometric="rgb", extratags=GEO)
    tifffile.imwrite(tmp_path / "plain.tif", RGB, photometric="rgb")
    out = tmp_path / "out"
    jobs = [Job(tmp_path / f"{name}.tif", out, name) for name in ("map", "plain")]
    mapped, plain = (result for _, result in predict_files(predictor, jobs))
    assert isinstance(mapped, dict)
    assert isinstance(plain, dict)
    assert mapped["crs"] == "EPSG:32633"
    assert "crs" not in plain
    assert "geotiff" not in plain["files"]
    assert mapped["files"]["geotiff"] == "map_labels.tif"
    with tifffile.TiffFile(out / "map_labels.tif") as file:
        page = file.pages.first
        np.testing.assert_array_equal(page.asarray(), predictor.predict(RGB).labels)
        np.testing.assert_array_equal(page.colormap.T[:3] >> 8, predictor.taxonomy.colours)
        assert page.tags[33550].value == (0.5, 0.5, 0)
        assert page.tags[33922].value == (0, 0, 0, 500000, 5200000, 0)
        assert page.geotiff_tags["ProjectedCSTypeGeoKey"] == 32633
    assert len(list(out.iterdir())) == 3 + 3 + 1
    assert out / "map_labels.tif" in find_images([str(tmp_path)]).results  # and it is no image to predict


def test_a_broken_world_file_fails_its_image_and_no_other(predictor: Predictor, tmp_path: Path) -> None:
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", RGB, photometric="rgb")
    (tmp_path / "a.tfw").write_text("half a metre")
    jobs = [Job(tmp_path / f"{name}.tif", tmp_path / "out", name) for name in ("a", "b")]
    broken, whole = (result for _, result in predict_files(predictor, jobs))
    assert isinstance(broken, str)
    assert "a.tfw: a world file holds six numbers" in broken
    assert isinstance(whole, dict)
    assert not (tmp_path / "out/a.png").exists()


@pytest.mark.parametrize("last", [0, 200])
def test_a_model_of_three_channels_drops_what_is_tagged_as_alpha(
    predictor: Predictor, tmp_path: Path, last: int
) -> None:
    """However it behaves: without a model, a fourth band of many values would be kept."""
    band = np.random.default_rng(1).integers(last, 256, (20, 30, 1), dtype=np.uint8)
    four = np.concatenate([RGB, band], axis=2)
    tifffile.imwrite(tmp_path / "x.tif", four, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(predictor.predict(tmp_path / "x.tif").labels, predictor.predict(RGB).labels)


def test_the_mean_stands_where_nothing_was_measured_in_files_as_in_arrays(predictor: Predictor, tmp_path: Path) -> None:
    """A file with holes is answered as the array whose holes hold the training images' mean."""
    bands = np.random.default_rng(2).random((32, 48, 3), dtype=np.float32)
    holed, filled = bands.copy(), bands.copy()
    holed[8:24, 8:40], filled[8:24, 8:40] = -9999, predictor.preprocessing.mean
    tifffile.imwrite(tmp_path / "x.tif", holed, photometric="rgb", extratags=[(42113, 2, 0, "-9999", True)])
    ((_, result),) = predict_files(predictor, [Job(tmp_path / "x.tif", tmp_path / "out", "x")], probabilities=True)
    assert isinstance(result, dict)
    expected = predictor.predict(filled, probabilities=True).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "out/x_probabilities.npy"), expected, atol=1e-3)
