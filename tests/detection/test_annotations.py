"""Boxes that somebody drew: VOC by hand, COCO against pycocotools."""

import json
from pathlib import Path

import pytest
import torch
from pycocotools.coco import COCO

from perpixel.core.errors import UserError
from perpixel.detection.annotations import read_coco, read_voc, to_coco
from perpixel.detection.objects import Detections

XML = """<annotation><filename>a.jpg</filename>
<object><name>dog</name><difficult>0</difficult><part><name>head</name></part>
  <bndbox><xmax>10</xmax><xmin>1</xmin><ymin>2</ymin><ymax>20.5</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult>
  <bndbox><xmin>5</xmin><ymin>5</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>
<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>
</annotation>"""


def test_voc_counts_from_one_and_to_the_last_pixel(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(XML)
    found = read_voc(tmp_path / "a.xml", ["cat", "dog"])
    assert found.boxes.tolist() == [[0, 1, 10, 20.5], [4, 4, 5, 5], [0, 0, 2, 2]]
    assert found.classes.tolist() == [1, 0, 1]
    assert found.difficult.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", "cannot be read as boxes of VOC"),
        ("<annotation><object><name>dog</name></object></annotation>", "an object lacks bndbox/xmin"),
        (XML.replace("<xmin>5", "<xmin>left"), "cannot be read as boxes of VOC"),
        (XML.replace("cat", "cow"), '"cow" is none of the classes cat, dog'),
    ],
)
def test_what_is_no_voc_file_says_so(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_voc(tmp_path / "a.xml", ["cat", "dog"])
    with pytest.raises(UserError, match="cannot be read"):
        read_voc(tmp_path / "none.xml", ["cat"])


def test_coco_is_what_pycocotools_reads(real_data: Path) -> None:
    file = real_data / "formats/coco_instances/annotations/instances_train2017.json"
    found, theirs = read_coco(file), COCO(str(file))
    assert found.names == tuple(c["name"] for c in theirs.loadCats(sorted(theirs.getCatIds())))
    assert len(found.objects) == len(theirs.getImgIds()) == 32
    for image in theirs.loadImgs(theirs.getImgIds()):
        objects, entries = found.objects[image["file_name"]], theirs.loadAnns(theirs.getAnnIds(image["id"]))
        assert found.image_ids[image["file_name"]] == image["id"]
        assert [found.category_ids[k] for k in objects.classes.tolist()] == [e["category_id"] for e in entries]
        assert objects.crowd.tolist() == [bool(e["iscrowd"]) for e in entries]
        wanted = torch.tensor([e["bbox"] for e in entries]).reshape(-1, 4)
        assert torch.allclose(objects.boxes, torch.cat([wanted[:, :2], wanted[:, :2] + wanted[:, 2:]], 1))
    assert sum(o.crowd.sum().item() for o in found.objects.values()) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [{"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "9 is not there"),
        ({"annotations": [{"image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]}]}, "5 is not there"),
        ({"annotations": [{"image_id": 1, "category_id": 1}]}, "'bbox' is not there"),
        ({"annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1]}]}, "not enough values"),
        ({"images": None}, "cannot be read as instances of COCO"),
    ],
)
def test_what_is_no_coco_file_says_so(tmp_path: Path, change: dict[str, object], message: str) -> None:
    whole = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "x"}], "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert len(read_coco(tmp_path / "a.json").objects["a.png"]) == 0
    (tmp_path / "a.json").write_text(json.dumps({**whole, **change}))
    with pytest.raises(UserError, match=message):
        read_coco(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[1, 2")
    with pytest.raises(UserError, match="cannot be read as instances of COCO"):
        read_coco(tmp_path / "a.json")


def test_results_have_the_categories_of_the_file() -> None:
    found = Detections(torch.tensor([[1.0, 2, 4, 6], [0, 0, 2, 2]]), torch.tensor([0.5, 0.25]), torch.tensor([1, 0]))
    entries = to_coco(found, 7, category_ids=(3, 90))
    assert [(e["category_id"], e["bbox"], e["score"]) for e in entries] == [
        (90, [1.0, 2.0, 3.0, 4.0], 0.5),
        (3, [0.0, 0.0, 2.0, 2.0], 0.25),
    ]
