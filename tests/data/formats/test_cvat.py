"""CVAT's XML is drawn by z-order with pycocotools' polygons, or refused with its file and place."""

import sys
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from annotated import art, drawn, picture, the_mask

LABELS = "<labels><label><name>cat</name><color>#ff0000</color></label><label><name>dog</name><color>#00ff00</color></label></labels>"
META = f"<version>1.1</version><meta><task>{LABELS}<original_size><width>8</width><height>6</height></original_size></task></meta>"


def cvat(root: Path, body: str, size: str = 'width="8" height="6"') -> Path:
    picture(root / "images/a.png")
    file = root / "annotations.xml"
    file.write_text(
        f'<?xml version="1.0"?><annotations>{META}<image id="0" name="a.png" {size}>{body}</image></annotations>'
    )
    return root


def box(label: str, left: float, top: float, right: float, low: float, z: int = 0, more: str = "") -> str:
    return f'<box label="{label}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{low}" z_order="{z}" {more}/>'


def test_boxes_by_z_order_and_names_and_colours_from_the_file(tmp_path: Path) -> None:
    cvat(tmp_path, box("dog", 2, 1, 6, 3, z=1) + box("cat", 0, 0, 4, 4, z=0))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "cvat"
    assert dataset.classes is not None and dataset.classes.names == ("background", "cat", "dog")
    np.testing.assert_array_equal(the_mask(dataset), art("####.... ##2222.. ##2222.. ####.... ........ ........"))
    first = art("####.... ####22.. ####22.. ####.... ........ ........")
    np.testing.assert_array_equal(the_mask(open_dataset(tmp_path, "first")), first)


def test_a_mask_runs_along_the_rows_of_its_window(tmp_path: Path) -> None:
    cvat(tmp_path, '<mask label="cat" rle="1, 3, 2" left="2" top="1" width="3" height="2" z_order="0"/>')
    np.testing.assert_array_equal(
        the_mask(open_dataset(tmp_path)), art("........ ...##... ..#..... ........ ........ ........")
    )


def test_a_box_is_turned_about_its_centre_and_an_ellipse_has_its_area(tmp_path: Path) -> None:
    cvat(
        tmp_path,
        box("cat", 1, 2, 5, 4, more='rotation="90"') + '<ellipse label="dog" cx="6.5" cy="3" rx="1.2" ry="2.2"/>',
    )
    mask = the_mask(open_dataset(tmp_path))
    np.testing.assert_array_equal(mask == 1, art("........ ..##.... ..##.... ..##.... ..##.... ........") == 1)
    np.testing.assert_array_equal(mask == 2, art("........ ......#. .....### .....### ......#. ........") == 1)


def test_what_has_no_area_is_counted_and_a_blank_label_refused(tmp_path: Path) -> None:
    cvat(
        tmp_path, box("cat", 0, 0, 2, 2) + '<points label="dog" points="1,1"/><polyline label="dog" points="1,1;2,2"/>'
    )
    assert "shapes without an area are not drawn: 1 points, 1 polyline" in open_dataset(tmp_path).notes
    cvat(tmp_path, box("", 0, 0, 2, 2))
    with pytest.raises(UserError, match=r'annotations.xml: image 0 \("a.png"\), shape 0: .label. is blank'):
        open_dataset(tmp_path)


def test_frames_of_a_video(tmp_path: Path) -> None:
    for i in (0, 1):
        picture(tmp_path / f"images/frame_00000{i}.png")
    boxes = "".join(f'<box frame="{i}" outside="{i}" xtl="0" ytl="0" xbr="2" ybr="1" z_order="0"/>' for i in (0, 1))
    (tmp_path / "annotations.xml").write_text(
        f'<annotations>{META}<track id="0" label="cat">{boxes}</track></annotations>'
    )
    masks = drawn(open_dataset(tmp_path))
    np.testing.assert_array_equal(
        masks["frame_000000.png"], art("##...... ........ ........ ........ ........ ........")
    )
    assert not masks["frame_000001.png"].any()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<polygon label="cat" points="1,2;3"/>', "corners"),
        ('<polygon label="cat" points="1,2;a,3;4,5"/>', "expected numbers"),
        ('<polygon label="cow" points="1,1;3,1;3,3"/>', '"cow" is none of the classes'),
        ('<polygon label="cat" points="1,1;3,1;3e9,3"/>', "far outside"),
        ('<mask label="cat" rle="1, 3" left="0" top="0" width="3" height="2"/>', "runs are 4 pixels long"),
        ('<mask label="cat" rle="6" left="x" top="0" width="3" height="2"/>', "left must be a whole number"),
        ('<box label="cat" xtl="1" ytl="nan" xbr="2" ybr="2"/>', "expected numbers"),
        ("<box", "no valid XML"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, body: str, said: str) -> None:
    cvat(tmp_path, body)
    with pytest.raises(UserError, match=said) as caught:
        open_dataset(tmp_path)
    assert "annotations.xml" in str(caught.value) and "\n" not in str(caught.value)


def test_entities_are_refused(tmp_path: Path) -> None:
    cvat(tmp_path, "")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "/etc/hostname">]>'
    (tmp_path / "annotations.xml").write_text(f"{bomb}<annotations>&f;&b;</annotations>")
    with pytest.raises(UserError, match="declares a document type"):
        open_dataset(tmp_path)
    (tmp_path / "annotations.xml").write_text("<a>" * 100_000)
    with pytest.raises(UserError, match="deep in each other"):
        open_dataset(tmp_path)
