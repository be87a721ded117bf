"""A world file says where an image lies, a .prj file in which coordinates. GDAL 3.10 read the label maps as these systems."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.cli.images import passed_over
from perpixel.core.errors import UserError
from perpixel.core.georeference import Georeference, read_georeference, write_labels

DATUM = 'DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925]'
GEOGRAPHIC = f'GEOGCS["GCS_WGS_1984",{DATUM}]'
NUMBERED = f'GEOGCS["WGS 84",{DATUM},AUTHORITY["EPSG","4326"]]'
PROJECTED = f'PROJCS["UTM_33N",{NUMBERED},PROJECTION["Transverse_Mercator"],UNIT["Meter",1.0]]'


def placed(root: Path, wkt: str | bytes) -> Georeference:
    Image.new("RGB", (8, 6)).save(root / "x.jpg")
    (root / "x.jgw").write_text("0.5\n0\n0\n-0.5\n100.25\n199.75\n")
    (root / "x.prj").write_bytes(wkt.encode() if isinstance(wkt, str) else wkt)
    place = read_georeference(root / "x.jpg")
    assert place is not None
    assert place.affine == (0.5, 0, 100, 0, -0.5, 200)
    return place


@pytest.mark.parametrize(
    ("wkt", "crs"),
    [
        (NUMBERED, "EPSG:4326"),
        (PROJECTED.removesuffix("]") + ',AUTHORITY["EPSG","32633"]]\r\n', "EPSG:32633"),
        (PROJECTED, PROJECTED),  # its own number is not that of the system that it is made from
        (GEOGRAPHIC, GEOGRAPHIC),
        (GEOGRAPHIC.encode("utf-16"), GEOGRAPHIC),
    ],
)
def test_the_system_goes_into_the_label_map(tmp_path: Path, wkt: str | bytes, crs: str) -> None:
    place = placed(tmp_path, wkt)
    assert place.crs == crs
    write_labels(tmp_path / "labels.tif", np.zeros((6, 8), np.uint8), place)
    again = read_georeference(tmp_path / "labels.tif")
    assert again is not None
    assert (again.crs, again.affine) == (crs, place.affine)


def test_geo_keys(tmp_path: Path) -> None:
    """OGC 19-008r4: 1024 the model (1 projected, 2 geographic), 2048 and 3072 numbers of EPSG; 3073 a citation."""
    for wkt, key, value, model in (
        (NUMBERED, "GeographicTypeGeoKey", 4326, 2),
        (PROJECTED.removesuffix("]") + ',AUTHORITY["EPSG","32633"]]', "ProjectedCSTypeGeoKey", 32633, 1),
        (GEOGRAPHIC, "PCSCitationGeoKey", f"ESRI PE String = {GEOGRAPHIC}", 32767),
    ):
        write_labels(tmp_path / "labels.tif", np.zeros((6, 8), np.uint8), placed(tmp_path, wkt))
        with tifffile.TiffFile(tmp_path / "labels.tif") as file:
            keys = file.pages.first.geotiff_tags
        assert (keys[key], keys["GTModelTypeGeoKey"]) == (value, model)


def test_what_is_no_system_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.prj: expected a coordinate system as text"):
        placed(tmp_path, "UTM 33")


def test_files_that_say_a_place_are_not_called_left_out(tmp_path: Path) -> None:
    placed(tmp_path, NUMBERED)
    assert passed_over([str(tmp_path)]) == []
    for name in ("alone.jgw", "alone.prj", "y.prj"):
        (tmp_path / name).write_text("")
    Image.new("RGB", (8, 6)).save(tmp_path / "y.jpg")  # without a world file its .prj is not read
    assert passed_over([str(tmp_path)]) == [f"left out  3 files of {tmp_path} not read as images: 2 .prj, 1 .jgw"]
