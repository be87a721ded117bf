"""LabelMe's JSON is drawn as labelme draws it, or refused with its file and place."""

import base64
import io
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from annotated import art, drawn, labelme, picture, shape, the_mask, write_json

TRIANGLE = [[1, 1], [5, 1], [1, 5]]


def test_a_polygon_with_its_outline(tmp_path: Path) -> None:
    labelme(tmp_path / "a.json", shape("cat", TRIANGLE))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "labelme"
    assert dataset.classes is not None and dataset.classes.names == ("background", "cat")
    expected = art("........ .#####.. .####... .###.... .##..... .#......")
    np.testing.assert_array_equal(the_mask(dataset), expected)


def test_a_later_shape_lies_over_an_earlier_one_unless_told_otherwise(tmp_path: Path) -> None:
    square, strip = [[0, 0], [3, 3]], [[2, 1], [6, 2]]
    labelme(tmp_path / "a.json", shape("b", square, "rectangle"), shape("a", strip, "rectangle"))
    expected = {
        "last": art("2222.... 2211111. 2211111. 2222.... ........ ........"),
        "first": art("2222.... 2222111. 2222111. 2222.... ........ ........"),
        "small": art("2222.... 2211111. 2211111. 2222.... ........ ........"),
        "large": art("2222.... 2222111. 2222111. 2222.... ........ ........"),
        "ignore": art("2222.... 22xx111. 22xx111. 2222.... ........ ........"),
    }
    for overlap, mask in expected.items():
        np.testing.assert_array_equal(the_mask(open_dataset(tmp_path, overlap)), mask, err_msg=overlap)
    np.testing.assert_array_equal(the_mask(open_dataset(tmp_path)), expected["last"])


def test_a_hole_is_a_later_shape_of_the_background_and_ignore_is_ignored(tmp_path: Path) -> None:
    labelme(
        tmp_path / "a.json",
        shape("cat", [[0, 0], [5, 4]], "rectangle"),
        shape("_background_", [[1, 1], [2, 2]], "rectangle"),
        shape("__ignore__", [[4, 3], [7, 5]], "rectangle"),
    )
    expected = art("######.. #..###.. #..###.. ####xxxx ####xxxx ....xxxx")
    np.testing.assert_array_equal(the_mask(open_dataset(tmp_path)), expected)


def test_a_circle_a_point_and_a_line(tmp_path: Path) -> None:
    size = (60, 80)
    for name, kind, points in (
        ("circle", "circle", [[30, 25], [30, 40]]),
        ("point", "point", [[30, 25]]),
        ("line", "line", [[10, 30], [70, 30]]),
    ):
        labelme(tmp_path / f"{name}.json", shape("cat", points, kind), size=size)
    masks = drawn(open_dataset(tmp_path))
    y, x = np.mgrid[:60, :80]
    for name, radius in (("circle", 15), ("point", 5)):
        far = np.hypot(y - 25, x - 30)
        assert masks[f"{name}.png"][far < radius - 0.8].all()
        assert not masks[f"{name}.png"][far > radius + 0.8].any()
    line = masks["line.png"]
    assert (line[:, 12:69].sum(0) == 10).all() and line[30, 12:69].all()
    assert not line[:20].any() and not line[41:].any()


def png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_mask_shape_is_its_png_at_its_corner(tmp_path: Path) -> None:
    inside = art("#.# .#.") * np.uint8(255)
    labelme(tmp_path / "a.json", shape("cat", [[2, 1], [4, 2]], "mask", mask=png(inside)))
    expected = art("........ ..#.#... ...#.... ........ ........ ........")
    np.testing.assert_array_equal(the_mask(open_dataset(tmp_path)), expected)


def test_what_lies_outside_is_cut_off_and_a_crossing_polygon_is_even_odd(tmp_path: Path) -> None:
    labelme(tmp_path / "a.json", shape("cat", [[-3, -2], [2, -2], [2, 1], [-3, 1]]))
    labelme(tmp_path / "b.json", shape("cat", [[1, 0], [6, 0], [6, 5], [3, 5], [3, -4], [5, -4], [5, 9], [1, 9]]))
    masks = drawn(open_dataset(tmp_path))
    np.testing.assert_array_equal(masks["a.png"], art("###..... ###..... ........ ........ ........ ........"))
    assert not masks["b.png"][2:4, 4].any()  # crossed twice
    assert masks["b.png"][2:4, 2].all()


def test_labels_txt_gives_classes_and_order(tmp_path: Path) -> None:
    labelme(tmp_path / "in/a.json", shape("dog", TRIANGLE))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    dataset = open_dataset(tmp_path / "in")
    assert dataset.classes is not None and dataset.classes.names == ("background", "dog", "cat")
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nbird\n")
    with pytest.raises(UserError, match=r'a\.json: "dog" is none of the classes background, bird'):
        open_dataset(tmp_path / "in")


def test_a_picture_without_a_shape_is_all_background(tmp_path: Path) -> None:
    labelme(tmp_path / "a.json")
    labelme(tmp_path / "b.json", shape("cat", TRIANGLE))
    assert not drawn(open_dataset(tmp_path))["a.png"].any()


def test_other_encodings_are_read(tmp_path: Path) -> None:
    file = labelme(tmp_path / "a.json", shape("Straße", TRIANGLE))
    text = json.dumps(json.loads(file.read_text()), ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        file.write_bytes(text.encode(encoding))
        classes = open_dataset(tmp_path).classes
        assert classes is not None and classes.names == ("background", "Straße")
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"a\.json, line 1: byte 0xdf is no utf-8"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["../../{}", "..\\..\\{}", "/etc/{}", "C:\\photos\\{}", "https://host/x/{}", "./{}"])
def test_a_name_leads_only_to_pictures_of_the_folder(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "secret.png")
    file = labelme(tmp_path / "data/in/a.json", shape("cat", TRIANGLE))
    data = json.loads(file.read_text())
    write_json(file, {**data, "imagePath": name.format("a.png")})
    dataset = open_dataset(tmp_path / "data")
    assert [s.image for found in dataset.splits.values() for s in found] == [tmp_path / "data/in/a.png"]
    write_json(file, {**data, "imagePath": name.format("secret.png")})
    dataset = open_dataset(tmp_path / "data")
    assert not any(dataset.splits.values())
    assert [found.lost for found in dataset.lists] == [(name.format("secret.png"),)]


def test_two_files_of_one_picture_are_refused(tmp_path: Path) -> None:
    file = labelme(tmp_path / "a.json", shape("cat", TRIANGLE))
    (tmp_path / "b.json").write_text(file.read_text())
    with pytest.raises(UserError, match=r'b\.json: "a\.png" is annotated twice'):
        open_dataset(tmp_path)


HEADER = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
BOMB = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\r" + HEADER + struct.pack(">I", zlib.crc32(HEADER))).decode()
FAULTS: list[tuple[Any, str]] = [
    ({"shapes": [7]}, "shape 0: expected an object with 'label', got 7"),
    ({"shapes": [{"label": "cat"}]}, "shape 0 .* lacks 'points'"),
    ({"shapes": [shape("", TRIANGLE)]}, "shape 0: 'label' is blank"),
    ({"shapes": [shape("cat", TRIANGLE), shape("cat", [[1, 2], [3, 4]])]}, "shape 1 .*: 2 corners, where 3 are"),
    ({"shapes": [shape("cat", [[1, 2], [3], [4, 5]])]}, r"shape 0 .*: expected corners \[\[x, y\]"),
    ({"shapes": [shape("cat", [["a", "b"], [1, 2], [3, 4]])]}, "shape 0 .*: expected corners"),
    ({"shapes": [shape("cat", [[10**400, 0], [1, 2], [3, 4]])]}, "shape 0 .*: expected corners"),
    ({"shapes": [shape("cat", [[1e6, 0], [1, 2], [3, 4]])]}, "shape 0 .*far outside of the picture of 8x6 pixels"),
    ({"shapes": [shape("cat", "polygon")]}, "shape 0 .*: 'points' must be list"),
    ({"shapes": [shape("cat", TRIANGLE, "spline")]}, 'shape of type "spline" is not read'),
    ({"shapes": [shape("cat", TRIANGLE, ["polygon"])]}, "shape of type .* is not read"),
    ({"shapes": [shape("cat", [[0, 0], [1, 1]], "mask")]}, "lacks 'mask'"),
    ({"shapes": [shape("cat", [[0, 0], [1, 1]], "mask", mask="!!")]}, "shape 0 .*: the mask is no base64 text"),
    ({"shapes": [shape("cat", [[0, 0], [1, 1]], "mask", mask="AAAA")]}, r'shape 0 \("cat"\): '),
    ({"shapes": [shape("cat", [[0, 0], [1, 1]], "mask", mask=BOMB)]}, r'shape 0 \("cat"\): .*pixels'),
    ({"imageHeight": 0}, "imageHeight, imageWidth: the picture's size must be whole numbers"),
    ({"imageHeight": 2**30}, "imageHeight, imageWidth: the picture's size must be whole numbers"),
    ({"imageWidth": None}, "imageHeight, imageWidth: the picture's size must be"),
    ({"imageWidth": 7.5}, "imageHeight, imageWidth: the picture's size must be"),
    ({"imagePath": 7}, "'imagePath' must be str"),
]


@pytest.mark.parametrize(("change", "said"), FAULTS)
def test_a_fault_is_refused_with_file_and_place(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = labelme(tmp_path / "a.json", **{"shapes": [shape("cat", TRIANGLE)], **change})
    with pytest.raises(UserError, match=said) as error:
        open_dataset(tmp_path)
    assert str(error.value).startswith(str(file))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[1, 1]", "[NaN, 1]", "the number NaN"),
        ("[1, 1]", "[-Infinity, 1]", "the number -Infinity"),
        ("[1, 1]", "[1e999, 1]", "expected corners"),
        ("[1, 1]", "[" * 100000, "lie too deep|no valid JSON"),
        ('"version"', '"label": 1, "label": 2, "version"', 'the key "label" is given twice'),
        ('"imageHeight"', '"imageHeight" 6}', r"a\.json, line 1, column \d+: no valid JSON"),
    ],
)
def test_json_that_is_none(tmp_path: Path, before: str, after: str, said: str) -> None:
    file = labelme(tmp_path / "a.json", shape("cat", TRIANGLE))
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(UserError, match=said) as error:
        open_dataset(tmp_path)
    assert str(error.value).startswith(str(file))


def test_more_classes_than_a_mask_can_tell_apart(tmp_path: Path) -> None:
    labelme(tmp_path / "a.json", *(shape(f"c{i}", TRIANGLE) for i in range(300)))
    with pytest.raises(UserError, match=r"a\.json: 301 classes, where a mask has room for 254"):
        open_dataset(tmp_path)


def test_the_samples_of_labelme_itself(real_data: Path) -> None:
    """The masks that labelme2voc.py made of its own example, every pixel of them."""
    folder = real_data / "formats/labelme"
    masks = drawn(open_dataset(folder / "data_annotated"))
    assert len(masks) == 3
    for name, mask in masks.items():
        given = np.load(folder / f"data_dataset_voc/SegmentationClassNpy/{Path(name).stem}.npy")
        np.testing.assert_array_equal(np.where(mask == 255, -1, mask.astype(int)), given)
