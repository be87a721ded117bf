"""A length in minutes is held by the clock, whatever the machine does, and goes on after an interrupt."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perpixel.train import Interrupted, Recipe, load_recipe, loop, resume, train
from perpixel.train import run as run_module
from perpixel.train.checkpoint import load_checkpoint
from perpixel.train.state import State

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from stopping import Told


class Time:
    """A clock that moves only when it is told to; each step of training takes `step` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: Callable[[float], float]) -> None:
        self.now = 0.0
        real = State.step

        def slow(state: State, *args: Any) -> float:
            loss = real(state, *args)
            self.now += step(self.now)
            return loss

        monkeypatch.setattr(State, "step", slow)
        for module in (loop, run_module):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.mark.parametrize(
    ("slower", "steps"), [(lambda now: 1.0, 33), (lambda now: 1.0 if now < 15 else 3.0, 21), (lambda now: 50.0, 1)]
)
def test_minutes_are_held_whatever_the_machine_does(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slower: Callable[[float], float], steps: int
) -> None:
    """33 seconds: 33 steps of one; 15 of one and 6 of three; one, however long. The learning rate is near its end at the end."""
    time = Time(monkeypatch, slower)
    told = Told()
    trained = train(tiny.changed({"minutes": 0.55, "optimiser.schedule": "cosine"}), tmp_path / "run", told)
    assert trained.steps == len(told.steps) == steps
    assert time.now == pytest.approx(33, abs=1.5) or steps == 1
    rows = load_checkpoint(tmp_path / "run")[0].state["rows"]
    rates = [row["lr"] for row in rows]
    assert steps == 1 or rates[-1] < 0.1 * max(rates)
    assert steps == 1 or 5 <= sum("val_mean_iou" in row for row in rows) <= 11
    assert "val_mean_iou" in rows[-1]
    assert load_recipe(tmp_path / "run" / "recipe.yaml").minutes == 0.55


def test_minutes_go_on_after_an_interrupt(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch, lambda now: 1.0)
    recipe = tiny.changed({"minutes": 0.25})
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "run", Told(6))
    time.now += 1000  # the night in between does not count
    told = Told()
    assert resume(tmp_path / "run", told).steps == 15
    assert told.steps == list(range(7, 16))
