"""Masks whose palettes have the classes in another order than those that a model was trained on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.infer import Predictor, evaluate

COLOURS = [[128, 64, 128], [70, 130, 180], [0, 0, 142]]  # road, sky and car of the predictor of conftest.py


def folder(root: Path, palette: list[list[int]]) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(3):
        Image.new("RGB", (9, 6), (60 * i, 0, 0)).save(root / f"images/{i}.png")
        mask = Image.fromarray((np.arange(54).reshape(6, 9) % 3).astype(np.uint8))
        mask.putpalette(np.array(palette, np.uint8).ravel().tolist())
        mask.save(root / f"masks/{i}.png")
    return root


def test_another_order_is_refused(tmp_path: Path, predictor: Predictor) -> None:
    dataset = open_dataset(folder(tmp_path, [COLOURS[0], COLOURS[2], COLOURS[1]]))
    words = r'masks/\d\.png: value 1 is "sky" for the model, and has the colour \[0, 0, 142\] of "car" here; name them'
    with pytest.raises(UserError, match=words):
        evaluate(predictor, dataset.split("all"))


@pytest.mark.parametrize("palette", [COLOURS, [[0, 0, 0], [255, 0, 0], [0, 255, 0]]])
def test_the_same_order_and_other_colours_are_not(
    tmp_path: Path, predictor: Predictor, palette: list[list[int]]
) -> None:
    dataset = open_dataset(folder(tmp_path, palette))
    assert evaluate(predictor, dataset.split("all")).evaluation.confusion.truth_pixels.tolist() == [54] * 3


def test_named_classes_are_as_named(tmp_path: Path, predictor: Predictor) -> None:
    root = folder(tmp_path, [COLOURS[0], COLOURS[2], COLOURS[1]])
    by_colour = "".join(
        f"  - {{name: {n}, values: [{c}]}}\n" for n, c in zip(predictor.taxonomy.names, COLOURS, strict=True)
    )
    names = zip(predictor.taxonomy.names, COLOURS, strict=True)
    by_value = "".join(f"  - {{name: {n}, values: {i}, colour: {c}}}\n" for i, (n, c) in enumerate(names))
    for classes in (f"classes:\n{by_value}", f"classes:\n{by_colour}"):
        (root / "dataset.yaml").write_text(classes)
        dataset = open_dataset(root)
        assert evaluate(predictor, dataset.split("all"), dataset.classes).ignored_share == 0
