"""A detector through the command line: train, evaluate, predict, report, models."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from perpixel.infer.detector import load_detector
from perpixel.train import default_recipe

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Perpixel

SMALL = ("encoder=resnet10t", "channels=16", "hidden=16", "proposals=20")


def test_train_writes_a_run_and_its_report(run: Perpixel, squares: Path, tmp_path: Path) -> None:
    options = [part for option in SMALL for part in ("--set", f"model.options.{option}")]
    more = ("--set", "steps=2", "--set", "detection.loss.ohem=true", "--set", "data.workers=0", "--crop", "64")
    done = run("train", squares, "--model", "fpn_detector", "--out", tmp_path / "run", *options, *more)
    assert done.status == 0, done.err
    assert "objects   regions of the masks: bright " in done.out
    assert "val AP " in done.out
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Precision against recall" in page and "Worst images" in page
    assert run("train", "--resume", tmp_path / "run").status == 0


def test_evaluate_prints_its_convention_and_writes_json(
    run: Perpixel, squares: Path, detector_run: Path, tmp_path: Path
) -> None:
    done = run("evaluate", detector_run, squares, "--out", tmp_path / "a.json", "--device", "cpu")
    assert done.status == 0, done.err
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["images"] == 3 and len(figures["coco"]["per_class"]) == 2
    assert f"AP {figures['coco']['ap']:.4f}  AP50 {figures['coco']['ap50']:.4f}" in done.out
    assert "3 images of squares" in done.out and ": mean over 2 of 2 classes; coco: IoU 0.50:0.95" in done.out
    assert re.search(r"bright +│ +\d+ ", done.out)


def test_predict_draws_and_writes_what_coco_reads(
    run: Perpixel, squares: Path, detector_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    images = squares / "images" / "val"
    done = run("predict", images, tmp_path / "broken.png", "--model", detector_run, "--out", tmp_path / "out")
    assert done.status == 2
    assert "broken.png: not an image" in done.err
    assert "3 of 4 images predicted" in done.out
    below = (
        tmp_path / "out" / images.relative_to(Path(os.path.commonpath([images, tmp_path])))
    )  # as they lie below both
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*")) == [
        "0_boxes.jpg",
        "1_boxes.jpg",
        "2_boxes.jpg",
        "boxes.json",
    ]
    assert Image.open(below / "0_boxes.jpg").size == (72, 64)
    coco = COCO(str(tmp_path / "out" / "boxes.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["bright", "dark"]
    found = load_detector(detector_run, "cpu").predict(images / "0.png").found
    image = next(i for i in coco.loadImgs(coco.getImgIds()) if i["file_name"].endswith("0.png"))
    entries = coco.loadAnns(coco.getAnnIds(image["id"]))
    assert len(entries) == len(found) > 0
    boxes = np.array([e["bbox"] for e in entries])
    boxes[:, 2:] += boxes[:, :2]
    assert np.allclose(boxes, found.boxes.numpy(), atol=1e-3)
    assert [e["category_id"] - 1 for e in entries] == found.classes.tolist()
    assert (image["height"], image["width"]) == (64, 72)


def test_predict_does_not_write_over_what_it_was_given(run: Perpixel, detector_run: Path, tmp_path: Path) -> None:
    for name in ("a.bmp", "a_boxes.jpg"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    done = run("predict", tmp_path, "--model", detector_run, "--out", tmp_path)
    assert done.status == 2 and "a_boxes.jpg is one of the images and would be overwritten" in done.err


def test_report_of_a_run_whose_data_is_gone_says_so(run: Perpixel, detector_run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(detector_run, tmp_path / "run")
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    (tmp_path / "run" / "recipe.yaml").write_text(re.sub(r"path: .*", "path: /nowhere", recipe))
    done = run("report", tmp_path / "run")
    assert done.status == 0, done.err
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="note"' in page and "Precision against recall" not in page and "AP50" in page


def test_evaluate_on_data_without_its_classes(run: Perpixel, detector_run: Path, squares: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for n in range(3):
            size = (8, 8, 3) if kind == "images" else (8, 8)
            Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / kind / f"{n}.png")
    (tmp_path / "dataset.yaml").write_text(json.dumps({"classes": ["background", "bright"]}))
    done = run("evaluate", detector_run, tmp_path)
    assert done.status == 2 and "the data has no class dark, which the model finds" in done.err


def test_models_says_the_task_of_each(run: Perpixel) -> None:
    lines = run("models").out.splitlines()
    segmentation, detection = (
        next(n for n, line in enumerate(lines) if line.startswith(w)) for w in ("segmentation: ", "detection: ")
    )
    place = {line.split()[0]: n for n, line in enumerate(lines) if line.strip()}
    assert segmentation < place["unet"] < detection < place["rfcn"]
    assert {"deformable_rfcn", "fast_rcnn_vgg16", "fpn_detector"} <= set(place)


def test_a_detector_has_defaults_of_its_own() -> None:
    for name in ("rfcn", "deformable_rfcn", "fpn_detector", "fast_rcnn_vgg16"):
        assert default_recipe(name).detection is not None
    assert default_recipe("unet").detection is None
