"""How much context classes use, on networks that look at a known distance."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from perpixel.bundle import Preprocessing
from perpixel.data.folders import open_dataset
from perpixel.data.samples import Sample
from perpixel.explain.class_context import context_results, scattered, study_context
from perpixel.explain.context_plot import draw_context
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy

NAMES = Taxonomy.of(["ground", "thing", "ghost"])
AWAY = 8


class Looks(nn.Module):
    """Ground scores 0, a thing what `look` makes of the first channel, a ghost less than either."""

    def __init__(self, look: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.look = look

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        score = 4 * self.look(image[:, :1])
        return {"logits": torch.cat([torch.zeros_like(score), score, -abs(score) - 4], dim=1)}


def itself(x: Tensor) -> Tensor:
    return x


def to_the_right(x: Tensor) -> Tensor:
    """The pixel 8 columns to the right; beyond the border 0."""
    return F.pad(x, (0, AWAY))[..., AWAY:]


def predictor_of(look: Callable[[Tensor], Tensor]) -> Predictor:
    steps = Preprocessing(3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Predictor(Looks(look), steps, NAMES, device="cpu")


def samples_of(folder: Path, count: int, shift: int) -> list[Sample]:
    """Dark ground, a thing of 12 x 6 pixels and one of 5 x 5, shown `shift` columns to the right of where they are."""
    for kind in ("images", "masks"):
        (folder / kind / "val").mkdir(parents=True)
    for n in range(count):
        labels = np.zeros((48, 64), np.uint8)
        labels[10 + n : 22 + n, 12:18] = 1
        labels[38:43, 40:45] = 1
        labels[0, 0] = 2
        image = np.where(np.roll(labels, shift, axis=1) == 1, 255, 0).astype(np.uint8)
        Image.fromarray(np.repeat(image[..., None], 3, axis=2)).save(folder / "images" / "val" / f"{n}.png")
        Image.fromarray(labels).save(folder / "masks" / "val" / f"{n}.png")
    (folder / "dataset.yaml").write_text("name: toy\nclasses: [ground, thing, ghost]\n")
    return list(open_dataset(folder).split("val"))


@pytest.mark.parametrize(("look", "shift", "used"), [(itself, 0, 0), (to_the_right, AWAY, AWAY)])
def test_context_is_used_as_far_as_the_network_looks(
    tmp_path: Path, look: Callable[[Tensor], Tensor], shift: int, used: int
) -> None:
    samples = samples_of(tmp_path, 4, shift)
    study = study_context(predictor_of(look), samples, NAMES, objects=3)
    _, thing, _ = study.classes
    assert len(thing.curves) == 3
    assert {curve.pixels for curve in thing.curves} == {12 * 6}  # the larger of the two
    assert thing.mean().used == used
    assert thing.effective == 2 * used + 1  # the square about a pixel in which the one pixel lies that is looked at
    row = context_results(study)["context"]["classes"][1]
    assert row["score"][-1] == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-3)  # white is 2 sd above the mean
    if used:
        assert row["score"][0] == pytest.approx(1 / (2 + np.exp(-4)), abs=1e-4)  # the mean colour: 0, 0, -4


def test_a_class_that_is_not_found_has_no_curve(tmp_path: Path) -> None:
    study = study_context(predictor_of(itself), samples_of(tmp_path, 2, 0), NAMES, objects=2)
    rows = context_results(study)["context"]["classes"]
    assert rows[2] == {"name": "ghost", "objects": 0}
    assert rows[1]["objects"] == 2
    json.dumps(context_results(study), allow_nan=False)
    assert draw_context(study) is not None


def test_nothing_found_at_all(tmp_path: Path) -> None:
    study = study_context(predictor_of(lambda x: -x), samples_of(tmp_path, 2, 0), NAMES, objects=1)
    assert [len(one.curves) for one in study.classes] == [0, 0, 0]
    assert draw_context(study) is None
    assert context_results(study)["context"]["fill"] is None
    assert context_results(None) == {}


def test_samples_come_from_all_over() -> None:
    samples = [Sample(str(n), Path(), None) for n in range(100)]
    order = [int(s.name) for s in scattered(samples)]
    assert sorted(order) == list(range(100))
    for first in (4, 8):
        chosen = sorted(order[:first])
        gaps = np.diff([chosen[-1] - 100, *chosen])
        assert gaps.max() <= 3 * 100 / first
