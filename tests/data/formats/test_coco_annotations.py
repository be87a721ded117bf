"""COCO's polygons and runs are the pixels that pycocotools says; what is at fault is refused with its place."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as runs

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.formats.inline import uncompressed

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from annotated import art, coco, drawn, picture, the_mask, write_json

BOX = [1, 1, 5, 1, 5, 4, 1, 4]


def cat(segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"category_id": 3, "segmentation": segmentation, **more}


def dog(segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"category_id": 5, "segmentation": segmentation, **more}


def test_a_polygon_is_filled_from_corner_to_corner_without_the_last(tmp_path: Path) -> None:
    coco(tmp_path, cat([BOX]))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "coco"
    assert dataset.classes is not None and dataset.classes.names == ("background", "cat", "dog")
    expected = art("........ .####... .####... .####... ........ ........")
    np.testing.assert_array_equal(the_mask(dataset), expected)


def test_runs_go_down_the_columns(tmp_path: Path) -> None:
    counts = [3, 2, 4, 3, 36]  # column 0: rows 3, 4; column 1: rows 3, 4, 5
    expected = art("........ ........ ........ ##...... ##...... .#......")
    text = runs.encode(np.asfortranarray(expected))["counts"].decode()
    for written in (counts, text):
        file = coco(tmp_path, cat({"size": [6, 8], "counts": written}))
        np.testing.assert_array_equal(the_mask(open_dataset(file)), expected)


def test_compressed_runs_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(3)
    for size in ((1, 1), (7, 3), (64, 200), (300, 300)):
        for share in (0.0, 0.001, 0.5, 1.0):
            mask = np.asfortranarray(rng.random(size) < share, np.uint8)
            flat = mask.reshape(-1, order="F")
            borders = np.flatnonzero(np.diff(np.concatenate(([0], flat)))).tolist()
            expected = np.diff([0, *borders, flat.size]).tolist()
            assert uncompressed(runs.encode(mask)["counts"].decode(), "here") == expected


def test_the_smaller_counts_and_a_crowd_comes_first(tmp_path: Path) -> None:
    small, large = [2, 2, 4, 2, 4, 5, 2, 5], [0, 0, 6, 0, 6, 4, 0, 4]
    file = coco(tmp_path, dog([small]), cat([large]))
    small_wins = art("######.. ######.. ##22##.. ##22##.. ..22.... ........")
    large_wins = art("######.. ######.. ######.. ######.. ..22.... ........")
    np.testing.assert_array_equal(the_mask(open_dataset(file)), small_wins)
    for overlap in ("last", "large"):
        np.testing.assert_array_equal(the_mask(open_dataset(file, overlap)), large_wins)
    one_pixel = {"size": [6, 8], "counts": [14, 1, 33]}
    coco(tmp_path, cat([large]), dog(one_pixel, iscrowd=1))
    assert (the_mask(open_dataset(file, "last")) != 2).all()


def test_a_dataset_yaml_chooses_who_wins(tmp_path: Path) -> None:
    coco(tmp_path, dog([[2, 2, 4, 2, 4, 5, 2, 5]]), cat([[0, 0, 6, 0, 6, 4, 0, 4]]))
    (tmp_path / "dataset.yaml").write_text("annotations: coco.json\noverlap: ignore\n")
    expected = art("######.. ######.. ##xx##.. ##xx##.. ..22.... ........")
    np.testing.assert_array_equal(the_mask(open_dataset(tmp_path)), expected)
    (tmp_path / "dataset.yaml").write_text("annotations: coco.json\noverlap: smal\n")
    with pytest.raises(UserError, match=r'overlap must be one of .*got "smal".*"small"'):
        open_dataset(tmp_path)


def test_polygons_of_one_annotation_are_one_shape(tmp_path: Path) -> None:
    file = coco(tmp_path, cat([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 4, 1, 4]]))
    expected = art("##...... ####.... .###.... .###.... ........ ........")
    np.testing.assert_array_equal(the_mask(open_dataset(file, "ignore")), expected)


def test_what_has_no_segmentation_is_said(tmp_path: Path) -> None:
    dataset = open_dataset(coco(tmp_path, cat([BOX]), cat(None, bbox=[1, 1, 2, 2]), dog([])))
    assert any("2 annotations of coco.json have no segmentation" in n for n in dataset.notes)


def test_splits_by_the_names_of_the_files_and_a_missing_picture(tmp_path: Path) -> None:
    for split in ("train", "val"):
        made = coco(tmp_path / "made", cat([BOX]))
        data = json.loads(made.read_text().replace("a.png", f"{split}.png"))
        picture(tmp_path / f"data/images/{split}2017/{split}.png", (6, 8))
        write_json(tmp_path / f"data/annotations/instances_{split}2017.json", data)
    dataset = open_dataset(tmp_path / "data")
    assert {s: [x.image.name for x in found] for s, found in dataset.splits.items()} == {
        "train": ["train.png"],
        "val": ["val.png"],
    }
    (tmp_path / "data/images/val2017/val.png").unlink()
    with pytest.raises(UserError, match=r"instances_val2017.json: no image and mask for val.png"):
        open_dataset(tmp_path / "data").split("train")


def panoptic(root: Path, ids: np.ndarray, segments: list[dict[str, Any]]) -> Path:
    """A picture a.png, a PNG of ids and the JSON that names them."""
    picture(root / "images/a.png", (6, 8))
    (root / "panoptic").mkdir(exist_ok=True)
    channels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)
    Image.fromarray(channels).save(root / "panoptic/a.png")
    return write_json(
        root / "panoptic.json",
        {
            "images": [{"id": 7, "file_name": "a.png", "height": 6, "width": 8}],
            "categories": [{"id": 3, "name": "cat", "color": [9, 8, 7]}, {"id": 5, "name": "dog", "color": [1, 2, 3]}],
            "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": segments}],
        },
    )


def test_panoptic_ids_become_classes_and_the_rest_is_ignored(tmp_path: Path) -> None:
    ids = np.zeros((6, 8), np.int64)
    ids[1:3], ids[3:5], ids[5] = 70000, 300, 65793 * 4
    file = panoptic(tmp_path, ids, [{"id": n, "category_id": c} for n, c in ((70000, 3), (300, 5), (65793 * 4, 3))])
    dataset = open_dataset(file)
    assert dataset.classes is not None and dataset.classes.names == ("cat", "dog")
    assert dataset.classes.colours == ((9, 8, 7), (1, 2, 3))
    expected = np.repeat(np.array([255, 0, 0, 1, 1, 0], np.uint8)[:, None], 8, 1)
    np.testing.assert_array_equal(the_mask(dataset), expected)


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([], "holds 300, which the annotations do not name"),
        ([{"id": 300, "category_id": 9}], "segment 0: category_id 9 is not there"),
        ([{"id": 300, "category_id": 3}] * 2, "the id of a segment is given twice"),
        ([{"category_id": 3}], "segment 0: lacks 'id'"),
        ([5], "segment 0: expected an object"),
    ],
)
def test_faults_of_segments(tmp_path: Path, segments: list[Any], said: str) -> None:
    file = panoptic(tmp_path, np.full((6, 8), 300), segments)
    with pytest.raises(UserError, match=f"panoptic.*{said}"):
        drawn(open_dataset(file))


@pytest.mark.parametrize("name", ["b.png", "../../etc/passwd", "..", "", "a\0.png"])
def test_a_panoptic_mask_that_is_not_beside_the_file(tmp_path: Path, name: str) -> None:
    file = panoptic(tmp_path, np.full((6, 8), 300), [{"id": 300, "category_id": 3}])
    data = json.loads(file.read_text())
    data["annotations"][0]["file_name"] = name
    with pytest.raises(UserError, match=r"panoptic\.json: annotation 0: .* is not in panoptic/"):
        open_dataset(write_json(file, data))


FAULTS: list[tuple[dict[str, Any], str]] = [
    (cat([[1, 1, 2, 2]]), r"annotation 0, polygon 0: 2 corners, where 3 are the least"),
    (cat([BOX, [1, 2, 3]]), "annotation 0, polygon 1: expected corners"),
    (cat([["a"] * 6]), "annotation 0, polygon 0: expected corners"),
    (cat([[0, 0, 10**9, 0, 3, 3]]), "annotation 0, polygon 0: .* far outside of the picture"),
    (cat("polygon"), "annotation 0: segmentation must be polygons or runs, got str"),
    (cat({"counts": [48]}), "annotation 0: lacks 'size'"),
    (cat({"size": [8, 6], "counts": [48]}), r"annotation 0: the runs are for a size of \[8, 6\]"),
    (cat({"size": [6, 8], "counts": [40]}), "annotation 0: the runs are 40 pixels long together, where 48"),
    (cat({"size": [6, 8], "counts": [10**12]}), "annotation 0: expected whole numbers"),
    (cat({"size": [6, 8], "counts": [50, -2]}), "annotation 0: expected whole numbers"),
    (cat({"size": [6, 8], "counts": "~~"}), "annotation 0: the letter '~' belongs to no compressed runs"),
    (cat({"size": [6, 8], "counts": "ooooooooooooo"}), "annotation 0: the letter 'o' belongs to no"),
    (cat({"size": [6, 8], "counts": "o"}), "annotation 0: the compressed runs are cut short"),
    ({"category_id": 4, "segmentation": [BOX]}, "annotation 0: category_id 4 is not there; the file has 2"),
    ({"category_id": "3", "segmentation": [BOX]}, "annotation 0: 'category_id' must be int, got '3'"),
    ({"category_id": True, "segmentation": [BOX]}, "annotation 0: 'category_id' must be int, got True"),
    (cat([BOX], image_id=8), "annotation 0: image_id 8 is not there; the file has 1"),
    (cat([BOX], image_id=None), "annotation 0: 'image_id' must be int"),
]


@pytest.mark.parametrize(("annotation", "said"), FAULTS)
def test_a_fault_of_an_annotation(tmp_path: Path, annotation: dict[str, Any], said: str) -> None:
    file = coco(tmp_path, annotation)
    with pytest.raises(UserError, match=said) as error:
        open_dataset(file)
    assert str(error.value).startswith(str(file))
    assert len(str(error.value)) < 400


IMAGE = {"id": 7, "file_name": "a.png", "height": 6, "width": 8}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"annotations": ["x"]}, "annotation 0: expected an object"),
        ({"images": [IMAGE, IMAGE]}, "image 1: the id 7 is given twice"),
        ({"images": [{**IMAGE, "height": -6}]}, "image 0 .*: the picture's size"),
        ({"images": [{**IMAGE, "height": 10**30}]}, "image 0 .*: the picture's size"),
        ({"images": [{"id": 7, "file_name": "a.png"}]}, "image 0 .*: the picture's size"),
        ({"images": [IMAGE, {**IMAGE, "id": 8}]}, '"a.png" is annotated twice'),
        ({"images": [None]}, "image 0: expected an object"),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}]}, "category 1: the id 3"),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "cat"}]}, "category 1: .*the name"),
        ({"categories": [{"id": 3, "name": " "}]}, "category 0: 'name' is blank"),
        ({"categories": [3]}, "category 0: expected an object"),
    ],
)
def test_a_fault_of_the_file(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = coco(tmp_path, **change)
    with pytest.raises(UserError, match=said) as error:
        open_dataset(file)
    assert str(error.value).startswith(str(file))


def test_the_segments_of_coco_itself(real_data: Path) -> None:
    """The areas that the panoptic example's own JSON says, of all 50 segments."""
    folder = real_data / "formats/coco_panoptic/sample_data"
    data = json.loads((folder / "panoptic_examples.json").read_text())
    masks = drawn(open_dataset(folder / "panoptic_examples.json"))
    labels = {c["id"]: i for i, c in enumerate(data["categories"])}
    checked = 0
    for entry in data["annotations"]:
        mask = masks[entry["file_name"].replace(".png", ".jpg")]
        areas: dict[int, int] = {}
        for segment in entry["segments_info"]:
            label = labels[segment["category_id"]]
            areas[label] = areas.get(label, 0) + segment["area"]
            checked += 1
        assert {k: int((mask == k).sum()) for k in areas} == areas
    assert checked == 50


def test_the_photos_of_coco_itself(real_data: Path) -> None:
    """Every annotation covers what pycocotools says, alone and drawn from large to small."""
    folder, count = real_data / "formats/coco_instances", 0
    for split in ("train2017", "val2017"):
        file = folder / f"annotations/instances_{split}.json"
        data = json.loads(file.read_text())
        labels = {c["id"]: i for i, c in enumerate(data["categories"], 1)}
        masks = drawn(open_dataset(file))
        for image in data["images"]:
            found = [a for a in data["annotations"] if a["image_id"] == image["id"]]
            size = (image["height"], image["width"])
            regions = [(region(a["segmentation"], size), labels[a["category_id"]], a["iscrowd"]) for a in found]
            expected = np.zeros(size, np.uint8)
            for inside, label, _ in sorted(regions, key=lambda r: -int(r[0].sum())):
                expected[inside] = label
            if not any(crowd for _, _, crowd in regions):
                np.testing.assert_array_equal(masks[image["file_name"]], expected)
            count += len(regions)
    assert count == 424


def region(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    found = runs.frPyObjects(segmentation, *size)
    whole: np.ndarray = runs.decode(found if isinstance(found, dict) else runs.merge(found)).astype(bool)
    return whole
