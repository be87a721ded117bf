"""A reporter that asks a run to stop, and everything that a run leaves, to be compared."""

import os
import signal
from pathlib import Path
from typing import Any

import torch

from perpixel.train.checkpoint import load_checkpoint

TIMING = ("seconds", "images_per_second", "clock", "judged_at", "row_at")


class Told:
    """A reporter that keeps what it hears, and asks to stop after some steps."""

    def __init__(self, *stop_after: int) -> None:
        self.stop_after, self.lines, self.steps = stop_after, [], []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, steps: int, text: str) -> None:
        if not text.startswith("loss"):  # looking at the data is no step of training
            return
        self.steps.append(step)
        if step in self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)


def outcome(run: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], bytes]:
    """Everything that a run leaves, but for the clock's readings: tensors, state, and the best weights."""
    checkpoint, note = load_checkpoint(run)
    assert note == ""
    state = {k: v for k, v in checkpoint.state.items() if k not in (*TIMING, "tensors_sha256")}
    state["rows"] = [{k: v for k, v in row.items() if k not in TIMING} for row in state["rows"]]
    return dict(checkpoint.tensors), state, (run / "best" / "model.safetensors").read_bytes()


def assert_equal(run: Path, whole: Path) -> None:
    (tensors, state, best), (wanted, wanted_state, wanted_best) = outcome(run), outcome(whole)
    assert state == wanted_state
    assert tensors.keys() == wanted.keys()
    assert [k for k in wanted if not torch.equal(tensors[k], wanted[k])] == []
    assert best == wanted_best
    history = (run / "history.csv").read_text().splitlines()
    assert len(history) == len((whole / "history.csv").read_text().splitlines())
