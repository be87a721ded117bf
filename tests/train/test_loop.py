"""The loop: what a run leaves, what it says, and the ways to train."""

import csv
import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.reporter import Plain
from perpixel.data.folders import open_dataset
from perpixel.data.samples import Sample
from perpixel.infer import evaluate, load
from perpixel.models import build
from perpixel.train import Recipe, devices, load_recipe, train
from perpixel.train import setup as setting_up
from perpixel.train.checkpoint import load_checkpoint
from perpixel.train.devices import computes_in_bf16


class Told:
    def __init__(self, at_step: Callable[[int], None] = lambda _: None) -> None:
        self.lines: list[str] = []
        self.texts: list[str] = []
        self.at_step = at_step

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, steps: int, text: str) -> None:
        if not text.startswith("loss"):  # reading and decoding the data come before the first step
            return
        self.texts.append(text)
        self.at_step(step)


def labelled_pixels(samples: Iterable[Sample]) -> int:
    return sum(int((np.asarray(Image.open(s.mask)) != 255).sum()) for s in samples if s.mask)


def test_what_a_run_leaves(whole: Path, tiny: Recipe) -> None:
    names = {"recipe.yaml", "environment.json", "data.json", "history.csv", "last", "previous", "best"}
    assert {p.name for p in whole.iterdir()} == names
    with open(whole / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == list(range(1, 8))
    assert [float(r["epoch"]) for r in rows] == pytest.approx([0.8 * s for s in range(1, 8)])
    assert [float(r["lr"]) for r in rows] == pytest.approx([0.002 * (1 - s / 7) ** 0.9 for s in range(7)])
    assert all(0 < float(r["loss"]) < 10 for r in rows)
    assert [bool(r["val_mean_iou"]) for r in rows] == [False, False, True, False, False, True, True]
    recipe = load_recipe(whole / "recipe.yaml")
    assert (recipe.steps, recipe.epochs, recipe.minutes) == (7, None, None)
    assert recipe.data.mean is not None
    assert recipe.data.crop == (32, 32)
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert load(whole, device="cpu").predict(np.zeros((20, 30, 3), np.uint8)).labels.shape == (20, 30)


def test_a_length_in_epochs(tiny: Recipe, tmp_path: Path) -> None:
    """2 epochs of 5 images by 2 are 5 steps; and nothing is told of none."""
    told = Told()
    recipe = tiny.changed({"epochs": 2, "accumulate": 1, "evaluate_every": 1, "data.workers": None})
    assert train(recipe, tmp_path, told).steps == 5
    assert load_recipe(tmp_path / "recipe.yaml").steps == 5
    said = "\n".join(told.lines)
    parameters = sum(
        p.numel() for p in build("fast_scnn", open_dataset(tiny.data.path).taxonomy.num_classes).parameters()
    )
    for words in (f"{parameters:,} parameters", "5 train, 3 val", "crop 32x32, batch 2", "5 steps", "3 whole images"):
        assert words in said, words
    assert said.index("parameters") < said.index("val mIoU")
    assert len(told.texts) == 5
    assert "images/s" in told.texts[0]
    assert "left" in told.texts[0]


def test_an_existing_run_is_not_overwritten(whole: Path, tiny: Recipe) -> None:
    before = (whole / "history.csv").read_bytes()
    with pytest.raises(UserError, match="holds a run already"):
        train(tiny, whole)
    assert (whole / "history.csv").read_bytes() == before


def test_without_a_val_split(tiny: Recipe, tmp_path: Path) -> None:
    told = Told()
    trained = train(tiny.changed({"data.val_split": "none", "steps": 2}), tmp_path, told)
    assert math.isnan(trained.best)
    assert any("evaluate  nothing" in line for line in told.lines)
    bundle = load(tmp_path, device="cpu")
    tensors = load_checkpoint(tmp_path)[0].tensors
    for name, value in bundle.model.state_dict().items():
        assert torch.equal(value, tensors[f"average.{name}"]), name


def test_it_learns(tiny: Recipe, tmp_path: Path) -> None:
    recipe = tiny.changed(
        {"steps": 80, "evaluate_every": 1000, "accumulate": 1, "data.jitter": 0, "optimiser.lr": 5e-3}
    )
    train(recipe, tmp_path)
    losses = [row["loss"] for row in load_checkpoint(tmp_path)[0].state["rows"]]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:4])


def test_collapsed_classes_are_named(tiny: Recipe, tmp_path: Path) -> None:
    """After one step hardly any class is predicted; the line names those of the truth with an IoU below 0.01."""
    told = Told()
    train(tiny.changed({"steps": 1, "optimiser.ema": None}), tmp_path, told)
    dataset, predictor = open_dataset(tiny.data.path), load(tmp_path, device="cpu")
    pairs = [(np.asarray(Image.open(s.mask)), predictor.predict(s.image).labels) for s in dataset.split("val")]
    never = []
    for i, name in enumerate(predictor.taxonomy.names):
        both = sum(int(((t == i) & (p == i)).sum()) for t, p in pairs)
        either = sum(int(((t == i) | ((p == i) & (t != 255))).sum()) for t, p in pairs)
        if any((t == i).any() for t, _ in pairs) and both < 0.01 * either:
            never.append(name)
    assert never
    assert [line.strip() for line in told.lines if "never predicted" in line] == [
        f"never predicted (IoU below 0.01): {', '.join(never)}"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"model.options": {"aux": True}, "batch_size": 1, "accumulate": 1},
        {"model.name": "unet", "model.options": {"width": 2}, "batch_size": 1, "loss.border_weights": [10, 5]},
        {"data.short_side": 24, "optimiser.ema": None, "optimiser.schedule": "one_cycle"},
        {"loss.terms": [{"name": "lovasz"}, {"name": "dice", "weight": 0.5}], "loss.class_weights": "none"},
    ],
)
def test_other_ways_to_train(tiny: Recipe, tmp_path: Path, changes: dict[str, Any]) -> None:
    trained = train(tiny.changed({**changes, "steps": 1}), tmp_path)
    predictor = load(tmp_path, device="cpu")
    assert trained.best >= 0
    assert predictor.preprocessing.short_side == changes.get("data.short_side")
    dataset = open_dataset(tiny.data.path)
    figures = evaluate(predictor, dataset.split("val"), dataset.taxonomy, ("confusion",)).results
    assert figures["mean_iou"] == trained.best
    assert figures["pixels"] == labelled_pixels(dataset.split("val"))


@pytest.mark.parametrize("constant", [1.02, 1.2])
def test_enet_weights_by_the_constant_of_the_recipe(tiny: Recipe, constant: float) -> None:
    plan = setting_up.set_up(tiny.changed({"loss.class_weights": "enet", "loss.enet_constant": constant}))
    masks = [np.asarray(Image.open(sample.mask)) for sample in open_dataset(tiny.data.path).split("train")]
    pixels = np.stack([sum((mask == c).sum() for mask in masks) for c in range(plan.taxonomy.num_classes)])
    expected = [1 / math.log(constant + n / pixels.sum()) if n else 1 for n in pixels]
    assert plan.weights == pytest.approx(expected)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_presence_is_learnt_by_its_weight(tiny: Recipe, tmp_path: Path, weight: float) -> None:
    """EncNet's presence head has no other loss: with a weight of 0 it stays as it was drawn."""
    options = {"width": 4, "presence": True, "aux": True}
    changes = {"model.name": "encnet", "model.options": options, "loss.presence_weight": weight, "steps": 2}
    recipe = tiny.changed({**changes, "optimiser.weight_decay": 0, "optimiser.ema": None})
    fresh = setting_up.set_up(recipe).model.presence.weight
    assert train(recipe, tmp_path).best >= 0
    trained = load(tmp_path, device="cpu").model.presence.weight
    assert torch.equal(trained, fresh) is (weight == 0)


def test_who_computes_in_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "Path", lambda _: file)
    cpu = torch.device("cpu")
    assert not computes_in_bf16(cpu)
    for flags, wanted in (
        ("fpu avx2 avx512f avx512_vnni", False),
        ("fpu avx512_bf16", True),
        ("amx_bf16 fpu", True),
        ("avx512_bf16x", False),
        ("", False),
    ):
        file.write_text(f"processor : 0\nmodel name : x\nflags\t\t: {flags}\nbugs :\n")
        assert computes_in_bf16(cpu) is wanted, flags
    assert not computes_in_bf16(torch.device("mps"))


def test_a_second_ctrl_c_stops_at_once(tiny: Recipe, tmp_path: Path) -> None:
    def twice(step: int) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, tmp_path, Told(twice))
    assert load_checkpoint(tmp_path)[0].state["step"] == 3
    assert signal.getsignal(signal.SIGINT) == before


def test_it_runs_in_a_thread(tiny: Recipe, tmp_path: Path) -> None:
    """Where signals cannot be taken, they are left alone."""
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(train(tiny.changed({"steps": 1}), tmp_path).steps))
    thread.start()
    thread.join()
    assert done == [1]


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain(every=3600)
    plain.line("hello [bold]")
    plain.step(1, 3, "loss 1")
    plain.step(3, 3, "loss 0")
    assert capsys.readouterr().out == "hello [bold]\nstep 3/3  loss 0\n"
