"""SIGTERM where a run is not in its steps: before the first, at its end, in its report. Each ends with the documented code."""

import os
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from perpixel.cli.report import report
from perpixel.core.errors import Interrupted
from perpixel.data.loader import TrainingSet
from perpixel.train import Recipe, resume, train
from perpixel.train.run_folder import RunFolder

DRIVER = """
import sys, time
import {module}

def here(*args, **options):
    print("HERE", flush=True)
    time.sleep(60)

{module}.{name} = here
from perpixel.cli import main
main()
"""


def told_at(tmp_path: Path, module: str, name: str, *arguments: str) -> tuple[int, str, str]:
    """The exit status and the lines of a command that is told to stop at the first call of a function."""
    file = tmp_path / "driver.py"
    file.write_text(DRIVER.format(module=module, name=name))
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(file), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None and process.stderr is not None
        before = list(takewhile(lambda line: line != "HERE\n", process.stdout))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    return process.returncode, "".join(before) + out, err


def test_before_there_is_anything_to_keep(tmp_path: Path, tiny: Recipe) -> None:
    tiny.save(tmp_path / "recipe.yaml")
    run = tmp_path / "run"
    arguments = ["train", tiny.data.path, "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(run)]
    status, out, err = told_at(tmp_path, "perpixel.train.run", "make_accelerator", *arguments)
    assert (status, out, err) == (143, "", "perpixel: interrupted\n")
    assert not run.exists()


def test_while_the_data_is_looked_at(tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decoded after that; what goes on begins with the data."""
    decoded = []
    real = TrainingSet.decode

    def decode(self: TrainingSet, index: int) -> Any:
        decoded.append(index)
        return real(self, index)

    lines: list[str] = []

    class Told:
        def line(self, text: str) -> None:
            lines.append(text)

        def step(self, done: int, total: int, text: str = "") -> None:
            if text == "reading":
                os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingSet, "decode", decode)
        with pytest.raises(Interrupted):
            train(tiny, tmp_path / "run", Told())
    assert decoded == []
    assert lines == [f"interrupted at step 0; go on with: perpixel train --resume {tmp_path / 'run'}"]
    assert resume(tmp_path / "run").steps == 7


def test_decoding_is_told_and_stopped(tmp_path: Path, tiny: Recipe) -> None:
    steps = []

    class Told:
        def line(self, text: str) -> None: ...

        def step(self, done: int, total: int, text: str = "") -> None:
            steps.append((done, total, text))
            if text == "decoding":
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(tiny, tmp_path / "run", Told())
    assert steps[-1] == (0, 5, "decoding")


def test_in_the_last_save(tmp_path: Path, tiny: Recipe, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told to stop, so that no report follows; what goes on finds nothing left to do."""
    real = RunFolder.save

    def save(self: RunFolder, checkpoint: Any) -> None:
        real(self, checkpoint)
        if checkpoint.state["step"] == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", save)
        with pytest.raises(Interrupted):
            train(tiny, tmp_path / "run")
    assert resume(tmp_path / "run").steps == 7
    best = [run / "best" / "model.safetensors" for run in (tmp_path / "run", whole)]
    assert best[0].read_bytes() == best[1].read_bytes()


def test_while_the_report_is_written(tmp_path: Path, tiny: Recipe) -> None:
    tiny.changed({"steps": 1, "data.val_split": "none"}).save(tmp_path / "recipe.yaml")
    run = tmp_path / "run"
    arguments = ["train", tiny.data.path, "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(run)]
    status, out, err = told_at(tmp_path, "perpixel.report", "write_report", *arguments)
    assert status == 75 and "Traceback" not in err
    assert err.splitlines()[-1] == (f"perpixel: the model is whole, its report is not written: perpixel report {run}")
    assert "done      1 steps" in out
    report(run)
    assert (run / "report.html").is_file()
