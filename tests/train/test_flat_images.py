"""Images of one colour: said as what they are, not as a learning rate that is too high."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.statistics import survey_training
from perpixel.train import Recipe, train

RECIPE = Recipe().changed(
    {"steps": 3, "batch_size": 4, "evaluate_every": 1000, "data.crop": (32, 32), "data.jitter": 0}
)


def folder(root: Path, greys: list[int]) -> str:
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i, grey in enumerate(greys):
        Image.new("RGB", (48, 40), (grey,) * 3).save(root / f"images/{i}.png")
        mask = np.zeros((40, 48), np.uint8)
        mask[: 10 + i] = 1
        Image.fromarray(mask).save(root / f"masks/{i}.png")
    (root / "train.txt").write_text("\n".join(map(str, range(len(greys)))))
    (root / "val.txt").write_text("")
    return str(root)


def test_images_all_of_the_same_colour_are_said_to_be_that(tmp_path: Path) -> None:
    data = folder(tmp_path, [90] * 6)
    notes = survey_training(open_dataset(data), "train", "val").notes
    assert notes == ("all 6 images looked at are of one and the same colour: there is nothing to see in them",)
    with pytest.raises(
        UserError, match=r"the loss became nan at step 2, on .*; of one single colour there: 0, 1; remove such images"
    ):
        train(RECIPE.changed({"data.path": data}), tmp_path / "run")


def test_images_of_different_single_colours_train(tmp_path: Path) -> None:
    data = folder(tmp_path, [90, 91, 200])
    assert survey_training(open_dataset(data), "train", "val").notes == ()
    assert train(RECIPE.changed({"data.path": data}), tmp_path / "run").steps == 3
