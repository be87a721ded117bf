"""The loop: what it leaves, what it says, how it stops, and that two processes are as good as one."""

import csv
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.reporter import Plain
from perpixel.data.folders import open_dataset
from perpixel.data.samples import Sample
from perpixel.infer import evaluate, load
from perpixel.losses import WeightedSum, build_loss
from perpixel.models import MODELS, build
from perpixel.train import Recipe, devices, load_recipe, resume, train
from perpixel.train import setup as setting_up
from perpixel.train.checkpoint import load_checkpoint
from perpixel.train.devices import computes_in_bf16

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # the tests are no package
from cases import CASES

SMALL = {case.name: case.small for case in CASES if case.small is not None}


class Told:
    def __init__(self, at_step: Callable[[int], None] = lambda _: None) -> None:
        self.lines: list[str] = []
        self.texts: list[str] = []
        self.at_step = at_step

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, steps: int, text: str) -> None:
        if text == "reading":  # the look at the data before the first step
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


def test_every_kind_of_network_has_a_small_one() -> None:
    """Variants of one file (drn_c_26, drn_d_22) may share theirs."""
    assert {name.split("_")[0] for name in SMALL} == {name.split("_")[0] for name in MODELS}
    assert len(SMALL) >= 15


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_network_trains_at_batch_1(name: str) -> None:
    """One image whose deepest map is a single pixel: a finite loss and a gradient for every weight."""
    torch.manual_seed(0)
    model = build(name, num_classes=3, **SMALL[name]).train()
    descend = build_loss(({"name": "cross_entropy"},), None, 0.4)
    output = model(torch.randn(1, 3, 32, 32))
    value = descend(output, torch.randint(0, 3, (1, 32, 32)), None)["loss"]
    value.backward()
    assert math.isfinite(float(value.detach()))
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


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


# Real processes

DRIVER = """
import os, signal, sys, time
import perpixel.infer.evaluate
from perpixel.data.loader import TrainingSet
from perpixel.train.state import State

def watch(owner, name, when, do):
    real, calls = getattr(owner, name), [0]
    def call(*args, **options):
        if when(*args):
            calls[0] += 1
            do(calls[0])
        return real(*args, **options)
    setattr(owner, name, call)

def here(_):
    print("HERE", flush=True)
    time.sleep(0.4)

def stop_rank_1(nth):
    if nth == 2 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)

where = sys.argv.pop(1)
if where == "reading":
    watch(TrainingSet, "decode", lambda *a: True, here)
if where == "training":
    watch(State, "step", lambda *a: True, here)
if where == "evaluating":
    watch(sys.modules["perpixel.infer.evaluate"], "read_noted", lambda *a: True, here)
if where == "rank 1":
    watch(State, "step", lambda *a: True, stop_rank_1)
from perpixel.cli import main
main()
"""


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path / "driver.py"


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize(
    ("where", "number"),
    [("reading", signal.SIGTERM), ("training", signal.SIGINT), ("evaluating", signal.SIGTERM)],
)
def test_signals_to_a_real_process(
    driver: Path, tiny: Recipe, whole: Path, tmp_path: Path, where: str, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    tiny.save(tmp_path / "recipe.yaml")
    arguments = ["train", tiny.data.path, "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(run), "--no-report"]
    command = [sys.executable, str(driver), where, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        before = list(takewhile(lambda line: line != "HERE\n", process.stdout))
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 75, [*before, rest]
    assert f"perpixel train --resume {run}" in rest
    assert "Traceback" not in rest
    resume(run)
    ours, theirs = load_checkpoint(run)[0], load_checkpoint(whole)[0]
    assert all(torch.equal(ours.tensors[k], theirs.tensors[k]) for k in theirs.tensors)


def torchrun(driver: Path, where: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command += [f"--master-port={port}", str(driver), where, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=600)


@pytest.mark.skipif(not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="no gloo")
def test_two_processes(driver: Path, tiny: Recipe, tmp_path: Path) -> None:
    """One of two is told to stop: both do, and save. Both go on to the end; the figures are those of one process."""
    run = tmp_path / "run"
    tiny.changed({"accumulate": 1}).save(tmp_path / "recipe.yaml")
    arguments = ["train", tiny.data.path, "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(run), "--no-report"]
    stopped = torchrun(driver, "rank 1", *arguments)
    assert stopped.returncode != 0
    assert "exitcode  : 75" in stopped.stderr, stopped.stderr[-3000:]
    assert load_checkpoint(run)[0].state["step"] == 2
    resumed = torchrun(driver, "nowhere", "train", "--resume", str(run), "--no-report")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert resumed.stdout.count("done      7 steps") == 1
    state = load_checkpoint(run)[0].state
    assert state["step"] == 7
    assert state["rows"][-1]["epoch"] == pytest.approx(7 * 4 / 5, abs=1e-3)  # two processes by two images
    predictor, dataset = load(run, device="cpu"), open_dataset(tiny.data.path)
    assert predictor.info is not None
    measured = evaluate(predictor, dataset.split("val"), dataset.taxonomy, ("confusion",)).results
    assert {k: predictor.info.metrics[k] for k in measured} == measured
    assert measured["pixels"] == labelled_pixels(dataset.split("val"))
