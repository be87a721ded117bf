"""Images of one colour: said as what they are, not as a learning rate that is too high."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.train import Recipe, train

RECIPE = Recipe().changed(
    {"steps": 3, "batch_size": 1, "evaluate_every": 1000, "data.crop": (32, 32), "data.jitter": 0, "precision": "fp32"}
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


def test_images_all_of_the_same_colour_are_refused(tmp_path: Path) -> None:
    data = folder(tmp_path, [90] * 4)
    with pytest.raises(UserError, match=r"all of one and the same colour, for example .*0\.png"):
        train(RECIPE.changed({"data.path": data}), tmp_path / "run")


def test_images_of_different_single_colours_are_not(tmp_path: Path) -> None:
    data = folder(tmp_path, [90, 91, 200])
    assert train(RECIPE.changed({"data.path": data}), tmp_path / "run").steps == 3
