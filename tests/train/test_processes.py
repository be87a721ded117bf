"""Real processes: stopped by a signal they go on bit for bit, and two are as good as one."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.data.folders import open_dataset
from perpixel.data.samples import Sample
from perpixel.infer import evaluate, load
from perpixel.train import Recipe, resume
from perpixel.train.checkpoint import load_checkpoint


def labelled_pixels(samples: Iterable[Sample]) -> int:
    return sum(int((np.asarray(Image.open(s.mask)) != 255).sum()) for s in samples if s.mask)


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
