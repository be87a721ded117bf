"""What stops training: a loss that is no number, settings and data that cannot be, in one line each."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.losses import WeightedSum
from perpixel.train import Recipe, resume, train
from perpixel.train import setup as setting_up
from perpixel.train.checkpoint import load_checkpoint


def poison(monkeypatch: pytest.MonkeyPatch, nth: int, value: float) -> None:
    """The n-th loss becomes `value`."""
    real, calls = WeightedSum.forward, 0

    def forward(self: WeightedSum, *args: Any) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        terms = real(self, *args)
        return {**terms, "loss": terms["loss"] * value} if calls == nth else terms

    monkeypatch.setattr(WeightedSum, "forward", forward)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """It stops at once, names the images, and leaves the evaluated weights and a checkpoint that goes on."""
    poison(monkeypatch, 10, value)  # the second half of step 5
    seen: list[tuple[str, ...]] = []
    real = setting_up.TrainingSet.__getitem__

    def item(self: Any, key: tuple[int, int]) -> Any:
        found = real(self, key)
        seen.append((*key, found[2]))
        return found

    monkeypatch.setattr(setting_up.TrainingSet, "__getitem__", item)
    with pytest.raises(UserError) as caught:
        train(tiny, tmp_path)
    message = str(caught.value)
    assert f"became {value} at step 5" in message
    assert "\n" not in message
    names = [entry[2] for entry in seen[18:20]]
    assert ", ".join(names) in message
    monkeypatch.undo()
    assert load_checkpoint(tmp_path)[0].state["step"] == 3
    assert resume(tmp_path).steps == 7


def test_a_mad_learning_rate_is_told_too(tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="loss became"):
        train(
            tiny.changed(
                {
                    "optimiser.lr": 1e6,
                    "optimiser.clip_norm": None,
                    "model.name": "unet",
                    "model.options": {"width": 2, "padding": "same"},
                    "steps": 20,
                }
            ),
            tmp_path,
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.name": "unett"}, 'Did you mean "unet"'),
        ({"model.options": {"dropuot": 0.1}}, 'Did you mean "dropout"'),
        ({"data.path": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"data.train_split": "trein"}, 'Did you mean "train"'),
        ({"loss.terms": [{"name": "cross_entrpy"}]}, "cross_entropy"),
        ({"loss.class_weights": "medium_frequency"}, "median_frequency"),
        ({"loss.class_weights": [1.0, 2.0]}, "weights"),
        ({"data.mean": [0.5]}, "data.mean"),
        ({"trackers": ["wanbd"]}, "wanbd"),
    ],
)
def test_what_a_user_gets_wrong(tiny: Recipe, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        train(tiny.changed(changes), tmp_path / "run")
    assert said in str(caught.value), caught.value
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_half_precision_needs_a_gpu(tiny: Recipe, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UserError, match="fp16"):
        train(tiny.changed({"precision": "fp16"}), tmp_path)


def test_masks_that_say_nothing(tmp_path: Path, tiny: Recipe) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            pixels = np.full((40, 40, 3) if folder == "images" else (40, 40), 255, np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["a", "b"]}))
    with pytest.raises(UserError, match="nothing to learn"):
        train(tiny.changed({"data.path": str(tmp_path)}), tmp_path / "run")
