"""A run asks for pretrained weights once, where it begins; what is filled from a file never asks for them."""

import os
import signal
from pathlib import Path

import pytest

from perpixel.core.errors import Interrupted
from perpixel.core.reporter import Silent
from perpixel.infer import load
from perpixel.models.backbones import timm_encoder
from perpixel.report import write_report
from perpixel.train import Recipe, resume, train
from perpixel.train.run_folder import DATA

ENCODER = {"encoder": "resnet10t", "pretrained": True}


class StopAfter(Silent):
    """Asks to stop after a step of training."""

    def __init__(self, step: int) -> None:
        self.after = step

    def step(self, done: int, total: int, text: str = "") -> None:
        if done == self.after and text.startswith("loss"):
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each encoder that is made was to be filled by a download; none is."""
    found: list[bool] = []
    monkeypatch.setattr(timm_encoder, "find_weights", lambda _, pretrained: found.append(pretrained))
    return found


def recipes(tiny: Recipe, detector_recipe: Recipe) -> dict[str, Recipe]:
    segmentation = {"model.name": "fpn", "model.options": ENCODER, "steps": 4, "evaluate_every": 0.8}
    options = {**detector_recipe.model.options, **ENCODER}
    return {
        "segmentation": tiny.changed(segmentation),
        "detection": detector_recipe.changed({"model.options": options, "steps": 4, "evaluate_every": 0.67}),
    }


@pytest.mark.parametrize("task", ["segmentation", "detection"])
@pytest.mark.parametrize("forgetful", [False, True], ids=["", "without what it knows of its data"])
def test_a_run_that_goes_on_downloads_nothing(
    tmp_path: Path, tiny: Recipe, detector_recipe: Recipe, asked: list[bool], task: str, forgetful: bool
) -> None:
    with pytest.raises(Interrupted):
        train(recipes(tiny, detector_recipe)[task], tmp_path / "run", StopAfter(3))
    assert True in asked, "a run that begins has what was asked for"
    assert asked[-1] is False, "a network to judge by is filled from the one in training"
    asked.clear()
    if forgetful:
        (tmp_path / "run" / DATA).unlink()
    resume(tmp_path / "run")
    if task == "segmentation":
        load(tmp_path / "run")
        write_report(tmp_path / "run")
    assert len(asked) >= 2 and not any(asked)
