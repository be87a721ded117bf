"""What somebody meets who tries perpixel in Python: one useful line for each thing, and what is next where one is wrong."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import perpixel
from perpixel.data.samples import Dataset
from perpixel.infer.detector import load_detector


def folder_of(root: Path, values: tuple[int, ...], count: int = 5) -> Path:
    """`count` flat pairs whose masks hold the given values in columns of 8."""
    mask = np.repeat(np.array(values, np.uint8), 8)[None].repeat(16, 0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((*mask.shape, 3), 40 * i, np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    return root


def test_masks_of_0_and_255_have_classes(tmp_path: Path) -> None:
    taxonomy = perpixel.open_dataset(folder_of(tmp_path, (0, 255))).taxonomy
    assert taxonomy is not None
    assert (taxonomy.values, taxonomy.ignore) == (((0,), (255,)), ())


def test_a_data_set_is_one_line(tmp_path: Path) -> None:
    dataset = perpixel.open_dataset(folder_of(tmp_path / "cells", (0, 255), count=5))
    train, val = len(dataset.split("train")), len(dataset.split("val"))
    assert repr(dataset) == f"Dataset(cells, layout flat, {train} train, {val} val, classes not named)"
    (tmp_path / "cells" / "dataset.yaml").write_text(
        "name: Cells\nclasses: [{name: a, values: 0}, {name: b, values: 255}]\n"
    )
    assert repr(perpixel.open_dataset(tmp_path / "cells")).startswith("Dataset(Cells, layout ")
    assert repr(perpixel.open_dataset(tmp_path / "cells")).endswith(", 2 classes (a, b))")
    assert repr(Dataset(tmp_path, "flat", {}, perpixel.Taxonomy.of(list("abcde")))) == (
        f"Dataset({tmp_path.name}, layout flat, no pair, 5 classes (a, b, c, ...))"
    )


def test_what_was_evaluated_is_one_line(tmp_path: Path, predictor: perpixel.Predictor) -> None:
    found = perpixel.evaluate(predictor, perpixel.open_dataset(folder_of(tmp_path, (0, 1, 2))))
    images, confusion = len(found.images), found.evaluation.confusion
    assert images >= 1
    assert repr(found) == f"Evaluated(mIoU {confusion.mean_iou:.4f} over 3 of 3 classes, {images} images)"


def test_a_detector_and_its_boxes_are_one_line(detector_run: Path, squares: Path) -> None:
    predictor = load_detector(detector_run, device="cpu")
    assert repr(predictor) == "BoxPredictor(rfcn, 2 classes of objects (bright, dark), 3 channels, cpu)"
    boxes = predictor.predict(next((squares / "images" / "val").iterdir()))
    counts = ", ".join(f"{name} {n}" for name, n in boxes.summary()["objects"].items()) or "nothing"
    assert repr(boxes) == f"Boxes(64x72, {counts})"
    assert Image.open(io.BytesIO(boxes._repr_png_())).size == (72, 64)


@pytest.mark.parametrize("given", ["a folder", [np.zeros((4, 4, 3), np.uint8)], Path("a folder"), None, 7])
def test_evaluating_anything_but_samples_says_what_to_give(predictor: perpixel.Predictor, given: object) -> None:
    with pytest.raises(perpixel.UserError, match=r"give open_dataset\(DATA\)") as caught:
        perpixel.evaluate(predictor, given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "perpixel", "--version"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"perpixel {perpixel.__version__}\n", "")
