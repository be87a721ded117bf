"""Where an image lies, from GeoTIFF tags and world files; what is written is read back by tifffile and by arithmetic."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.georeference import Georeference, read_georeference, write_labels

SCALE, TIEPOINT, MATRIX, KEYS = 33550, 33922, 34264, 34735
UTM_33 = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)  # GeoTIFF 1.1: model, raster type, projected CRS
GREY = np.arange(24 * 31, dtype=np.uint8).reshape(24, 31)
NORTH_UP = [(SCALE, 12, 3, (0.5, 0.5, 0.0)), (TIEPOINT, 12, 6, (0.0, 0.0, 0.0, 500000.0, 5200000.0, 0.0))]
ROTATED = [(MATRIX, 12, 16, (0.3, 0.4, 0.0, 100.0, 0.4, -0.3, 0.0, 900.0, *[0.0] * 7, 1.0))]


def geotiff(file: Path, tags: list, keys: tuple[int, ...] = UTM_33, turn: int = 1, data: np.ndarray = GREY) -> Path:
    extra = [(*tag, True) for tag in [*tags, (KEYS, 3, len(keys), keys), (274, 3, 1, turn)]]
    tifffile.imwrite(file, data, extratags=extra, metadata=None)
    return file


def found(file: Path) -> Georeference:
    place = read_georeference(file)
    assert place is not None
    return place


def on_earth(place: Georeference, column: float, row: float) -> tuple[float, float]:
    assert place.affine is not None
    a, b, c, d, e, f = place.affine
    return a * column + b * row + c, d * column + e * row + f


def test_tie_point_and_scale(tmp_path: Path) -> None:
    place = found(geotiff(tmp_path / "x.tif", NORTH_UP))
    assert place.crs == "EPSG:32633"
    assert place.affine == (0.5, 0, 500000, 0, -0.5, 5200000)
    inner = [NORTH_UP[0], (TIEPOINT, 12, 6, (10.0, 4.0, 0.0, 500000.0, 5200000.0, 0.0))]
    assert on_earth(found(geotiff(tmp_path / "y.tif", inner)), 10, 4) == (500000, 5200000)


def test_a_tie_point_may_mean_the_centre_of_a_pixel(tmp_path: Path) -> None:
    point = (*UTM_33[:11], 2, *UTM_33[12:])  # RasterPixelIsPoint
    place = found(geotiff(tmp_path / "x.tif", NORTH_UP, point))
    assert on_earth(place, 0.5, 0.5) == (500000, 5200000)


def test_a_matrix_that_turns(tmp_path: Path) -> None:
    place = found(geotiff(tmp_path / "x.tif", ROTATED))
    x, y = on_earth(place, 10, 20)
    assert (x, y) == pytest.approx((100 + 0.3 * 10 + 0.4 * 20, 900 + 0.4 * 10 - 0.3 * 20))


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_that_is_turned_upright_keeps_its_place(tmp_path: Path, turn: int) -> None:
    """The pixel at the upright picture's corner lies where the stored pixel does that it was made of.

    By the standard's words: the 0th row and column of the stored picture are the top, right, ... of the upright one.
    """
    height, width = GREY.shape
    # of the stored picture, where the upper left corner of the upright one is, and the directions of its columns and rows
    corners = {1: (0, 0), 2: (width, 0), 3: (width, height), 4: (0, height)}
    corners |= {5: (0, 0), 6: (0, height), 7: (width, height), 8: (width, 0)}
    along_columns = {1: (1, 0), 2: (-1, 0), 3: (-1, 0), 4: (1, 0), 5: (0, 1), 6: (0, -1), 7: (0, -1), 8: (0, 1)}
    along_rows = {1: (0, 1), 2: (0, 1), 3: (0, -1), 4: (0, -1), 5: (1, 0), 6: (1, 0), 7: (-1, 0), 8: (-1, 0)}
    stored, place = found(geotiff(tmp_path / "s.tif", ROTATED)), found(geotiff(tmp_path / "x.tif", ROTATED, turn=turn))
    for column, row in ((0, 0), (7, 0), (0, 5), (7, 5)):
        x = corners[turn][0] + column * along_columns[turn][0] + row * along_rows[turn][0]
        y = corners[turn][1] + column * along_columns[turn][1] + row * along_rows[turn][1]
        assert on_earth(place, column, row) == pytest.approx(on_earth(stored, x, y))


def test_world_files(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.png")
    assert read_georeference(tmp_path / "x.png") is None
    (tmp_path / "x.pgw").write_text("0.5\n0.0\n0.0\n-0.5\n500000.25\n5199999.75\n")  # the centre of the first pixel
    place = found(tmp_path / "x.png")
    assert place.affine == (0.5, 0, 500000, 0, -0.5, 5200000)
    assert place.crs == ""
    assert [float(x) for x in place.world_file().split()] == [0.5, 0, 0, -0.5, 500000.25, 5199999.75]
    (tmp_path / "x.pgw").write_text("0.5\n0.0\n")
    with pytest.raises(UserError, match="a world file holds six numbers"):
        read_georeference(tmp_path / "x.png")


@pytest.mark.parametrize("tags", [NORTH_UP, ROTATED])
def test_labels_are_written_where_their_image_lies(tmp_path: Path, tags: list) -> None:
    place = found(geotiff(tmp_path / "x.tif", tags))
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    labels = GREY % 5
    write_labels(tmp_path / "labels.tif", labels, place, palette, nodata=255)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        page = file.pages.first
        np.testing.assert_array_equal(page.asarray(), labels)
        np.testing.assert_array_equal(page.colormap.T >> 8, palette)
        for code, _, _, value in tags:
            assert page.tags[code].value == value
        assert page.geotiff_tags["ProjectedCSTypeGeoKey"] == 32633
        assert page.tags[42113].value == "255"


def test_labels_of_a_turned_picture_and_of_one_with_a_world_file(tmp_path: Path) -> None:
    """No tags to copy: the affine is written as a matrix."""
    turned = found(geotiff(tmp_path / "x.tif", NORTH_UP, turn=3))
    Image.fromarray(GREY).save(tmp_path / "y.png")
    (tmp_path / "y.pgw").write_text("2\n0\n0\n-2\n11\n99\n")
    for name, place in (("turned", turned), ("world", found(tmp_path / "y.png"))):
        write_labels(tmp_path / f"{name}.tif", GREY, place)
        again = found(tmp_path / f"{name}.tif")
        assert again.affine == pytest.approx(place.affine)
        assert again.crs == place.crs
    with tifffile.TiffFile(tmp_path / "turned.tif") as file:
        matrix = np.array(file.pages.first.tags[MATRIX].value).reshape(4, 4)
    np.testing.assert_allclose(matrix @ [31, 24, 0, 1], [500000, 5200000, 0, 1])  # the corner that was the first


def test_an_image_without_a_place(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", GREY)
    assert read_georeference(tmp_path / "x.tif") is None
    with pytest.raises(UserError, match="no such file"):
        read_georeference(tmp_path / "none.tif")
