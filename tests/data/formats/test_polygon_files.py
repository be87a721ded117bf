"""Cityscapes' polygons and Supervisely's objects: one JSON a picture."""

import base64
import io
import json
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.formats import KINDS

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from annotated import art, picture, the_mask, write_json


def box(left: int, top: int, right: int, low: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, low], [left, low]]


def cityscapes(root: Path, *objects: Any) -> Path:
    picture(root / "leftImg8bit/train/bonn/bonn_1_leftImg8bit.png")
    data = {"imgHeight": 6, "imgWidth": 8, "objects": list(objects)}
    write_json(root / "gtFine/train/bonn/bonn_1_gtFine_polygons.json", data)
    return root


def test_cityscapes_polygons(tmp_path: Path) -> None:
    cityscapes(
        tmp_path,
        {"label": "road", "polygon": box(0, 0, 7, 3)},
        {"label": "cargroup", "polygon": box(2, 1, 4, 2)},
        {"label": "trailer", "polygon": box(6, 0, 7, 1)},
        {"label": "sky", "polygon": box(0, 0, 7, 5), "deleted": 1},
    )
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "cityscapes polygons"
    assert dataset.classes is not None and dataset.classes.names[13] == "car"
    expected = art("......xx ..###.xx ..###... ........ xxxxxxxx xxxxxxxx")
    np.testing.assert_array_equal(the_mask(dataset), np.where(expected == 1, 13, expected))
    cityscapes(tmp_path, {"label": "unicorn", "polygon": box(0, 0, 7, 5)})
    with pytest.raises(UserError, match='"unicorn" is none of the classes'):
        open_dataset(tmp_path)


def supervisely(root: Path, *objects: Any) -> Path:
    picture(root / "ds/img/a.png")
    write_json(root / "meta.json", {"classes": [{"title": "dog"}, {"title": "cat"}]})
    write_json(root / "ds/ann/a.png.json", {"size": {"height": 6, "width": 8}, "objects": list(objects), "tags": []})
    return root


def bitmap(mask: np.ndarray, left: int, top: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"classTitle": "cat", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [left, top]}}


def polygon(exterior: Any, *interior: Any) -> dict[str, Any]:
    return {
        "classTitle": "dog",
        "geometryType": "polygon",
        "points": {"exterior": exterior, "interior": list(interior)},
    }


def test_supervisely_polygons_with_holes_and_bitmaps(tmp_path: Path) -> None:
    inside = np.array([[True, False, True], [False, True, False]])
    supervisely(
        tmp_path,
        polygon(box(0, 0, 5, 4), box(1, 1, 2, 2)),
        bitmap(inside, 5, 3),
        {**polygon([]), "geometryType": "line"},
    )
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "supervisely"
    assert dataset.classes is not None and dataset.classes.names == ("background", "dog", "cat")
    assert "1 objects without an area are not drawn" in dataset.notes
    expected = art("######.. #..###.. #..###.. #####2.2 ######2. ........")
    np.testing.assert_array_equal(the_mask(dataset), expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "%%%"}, "no zipped PNG"),
        ({"data": base64.b64encode(zlib.compress(b"no picture")).decode()}, "a.png.json: object 0"),
        ({"data": base64.b64encode(zlib.compress(bytes(2**27))).decode()}, "cut short, or larger"),
        ({"data": base64.b64encode(zlib.compress(b"x" * 100)[:-5]).decode()}, "cut short, or larger"),
        ({"origin": [1e9, 0]}, "far outside"),
        ({"origin": "x"}, "must be list"),
    ],
)
def test_bitmaps_at_fault_are_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    entry = bitmap(np.ones((2, 2), bool), 0, 0)
    with pytest.raises(UserError, match=said) as caught:
        open_dataset(supervisely(tmp_path, {**entry, "bitmap": {**entry["bitmap"], **change}}))
    assert "\n" not in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["points", "bitmap", "rle", "value"]), inner)
    ),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("classTitle", "label"), st.sampled_from(["cat", ""]) | VALUES),
        **dict.fromkeys(
            ("geometryType", "type"), st.sampled_from(["polygon", "bitmap", "brushlabels", "polygonlabels"])
        ),
        **dict.fromkeys(("points", "polygon", "bitmap", "value", "original_width", "original_height", "id"), VALUES),
    },
)
FILES = {
    "cityscapes polygons": lambda e, v: {"imgHeight": v, "imgWidth": 8, "objects": e},
    "supervisely": lambda e, v: {"size": {"height": 6, "width": v}, "objects": e},
    "label studio": lambda e, v: [{"data": {"image": v}, "annotations": [{"result": e}, *([v] if v else [])]}],
    "coco": lambda e, v: {"images": [v], "annotations": e, "categories": [{"id": 1, "name": "cat"}]},
    "labelme": lambda e, v: {"imagePath": "a.png", "imageHeight": 6, "imageWidth": 8, "shapes": e, "version": v},
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_strange_contents_are_read_or_one_line(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(FILES)))
    contents = FILES[kind](data.draw(st.lists(ENTRIES, max_size=3)), data.draw(st.sampled_from([6, 8]) | VALUES))
    contents = json.loads(json.dumps(contents))
    knows, read = KINDS[kind]
    if not knows(contents):
        return
    with suppress(UserError):
        for drawing in read({Path("file.json"): contents}, Path()).drawings:
            for _, shape in drawing.shapes:
                assert shape.region(drawing.size)[2].dtype == bool
