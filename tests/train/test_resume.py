"""A resumed run is the uninterrupted one, bit for bit, wherever it was interrupted."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.data.loader import TrainingSet
from perpixel.infer import evaluate, load
from perpixel.train import Interrupted, Recipe, length, load_recipe, resume, train
from perpixel.train.checkpoint import load_checkpoint
from perpixel.train.state import State

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from stopping import Told, assert_equal, outcome


def test_the_uninterrupted_run(whole: Path) -> None:
    tensors, state, _ = outcome(whole)
    kinds = {k.split(".")[0] for k in tensors}
    assert kinds == {"model", "average", "optimiser", "random"}
    assert state["step"] == 7
    assert [r["step"] for r in state["rows"] if "val_mean_iou" in r] == [3, 6, 7]
    assert [r["step"] for r in state["rows"]] == list(range(1, 8))
    moved = [k for k in tensors if k.startswith("model.") and not torch.equal(tensors[k], tensors["average" + k[5:]])]
    assert len(moved) > 100  # the average is not the model


def test_the_same_again(whole: Path, tiny: Recipe, tmp_path: Path) -> None:
    train(tiny, tmp_path / "run")
    assert_equal(tmp_path / "run", whole)


def test_another_seed_is_another_run(whole: Path, tiny: Recipe, tmp_path: Path) -> None:
    train(tiny.changed({"seed": 1, "steps": 1}), tmp_path / "run")
    assert outcome(tmp_path / "run")[1]["rows"][0]["loss"] != outcome(whole)[1]["rows"][0]["loss"]


def run_with_stops(recipe: Recipe, run: Path, *stops: int) -> Told:
    """Trains and stops after each of the steps, resumes each time."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        train(recipe, run, Told(stops[0]))
    assert load_checkpoint(run)[0].state["step"] == stops[0]
    for stop in stops[1:]:
        with pytest.raises(Interrupted):
            resume(run, Told(stop))
        assert load_checkpoint(run)[0].state["step"] == stop
    assert signal.getsignal(signal.SIGTERM) == before
    told = Told()
    trained = resume(run, told)
    assert told.steps == list(range(stops[-1] + 1, 8))
    assert trained.steps == 7
    return told


@pytest.mark.parametrize("stops", [(1,), (3,), (2, 5), (6,)])
def test_interrupted_and_resumed(whole: Path, tiny: Recipe, tmp_path: Path, stops: tuple[int, ...]) -> None:
    """In the middle of epochs (5 images by 4), at the step of an evaluation, twice, before the last step."""
    run_with_stops(tiny, tmp_path / "run", *stops)
    assert_equal(tmp_path / "run", whole)


def test_interrupted_between_two_rows_of_the_history(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a row sums up, the loss and each class's share of it, goes on where it was."""
    monkeypatch.setattr(length, "ROWS", 2)
    train(tiny, tmp_path / "whole")
    rows = outcome(tmp_path / "whole")[1]["rows"]
    assert [row["step"] for row in rows] == [3, 6, 7]
    assert sum("gradient_road" in row for row in rows) == 3
    run_with_stops(tiny, tmp_path / "run", 1, 5)
    assert_equal(tmp_path / "run", tmp_path / "whole")


def test_with_workers_it_is_the_same(whole: Path, tiny: Recipe, tmp_path: Path) -> None:
    """Two workers, an interrupt, and none on resuming: all one."""
    recipe = tiny.changed({"data.workers": 2})
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "run", Told(4))
    load_recipe(tmp_path / "run" / "recipe.yaml").changed({"data.workers": 0}).save(tmp_path / "run" / "recipe.yaml")
    resume(tmp_path / "run")
    assert_equal(tmp_path / "run", whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser.name": "sgd", "optimiser.ema": None, "accumulate": 1, "channels_last": False},
        {"precision": "bf16", "optimiser.clip_norm": None, "data.elastic": 2.0, "data.rotate": 20},
        {"model.name": "unet", "model.options": {"width": 2, "padding": "same"}, "optimiser.name": "adam"},
    ],
)
def test_other_recipes_resume_too(tiny: Recipe, tmp_path: Path, changes: dict[str, Any]) -> None:
    recipe = tiny.changed(changes)
    train(recipe, tmp_path / "whole")
    run_with_stops(recipe, tmp_path / "run", 4)
    assert_equal(tmp_path / "run", tmp_path / "whole")


def at_call(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, nth: int, do: Callable[[], None]) -> list[int]:
    """Does something at the n-th call of a function, before it runs; gives a list with an entry for every call."""
    real, calls = getattr(owner, name), []

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(len(calls) + 1)
        if len(calls) == nth:
            do()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("nth", [1, 5])
def test_interrupted_in_an_evaluation(
    whole: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """At the first image of the first evaluation, and the second of the second: 3 images each."""
    import sys

    with monkeypatch.context() as patch:
        calls = at_call(patch, sys.modules["perpixel.infer.evaluate"], "read_noted", nth, terminate)
        with pytest.raises(Interrupted):
            train(tiny, tmp_path / "run")
    assert len(calls) == nth  # the other images were not waited for
    state = load_checkpoint(tmp_path / "run")[0].state
    assert (state["step"], state["evaluated"]) == ((3, 0) if nth == 1 else (6, 3))
    resume(tmp_path / "run")
    assert_equal(tmp_path / "run", whole)


def test_killed_without_a_word(whole: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in step 5 loses what came after the checkpoint of step 3, and no more."""

    def crash() -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        at_call(patch, State, "step", 5, crash)
        with pytest.raises(MemoryError):
            train(tiny, tmp_path / "run")
    told = Told()
    resume(tmp_path / "run", told)
    assert told.steps == [4, 5, 6, 7]
    assert_equal(tmp_path / "run", whole)


def test_a_damaged_checkpoint_costs_its_steps_only(whole: Path, tiny: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(tiny, run, Told(5))
    file = run / "last" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    told = Told()
    resume(run, told)
    assert any("resuming from the checkpoint before" in line for line in told.lines)
    assert told.steps == [4, 5, 6, 7]
    assert_equal(run, whole)


def test_both_damaged_is_the_users_to_know(tiny: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(tiny, run, Told(1))
    for name in ("last", "previous"):
        (run / name / "state.json").write_text("{")
    with pytest.raises(UserError, match="no checkpoint to resume from"):
        resume(run)


def test_a_finished_run_stays_as_it_is(whole: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(whole, run)
    told = Told()
    assert resume(run, told).steps == 7
    assert told.steps == []
    assert_equal(run, whole)


def test_what_cannot_be_resumed(tmp_path: Path, tiny: Recipe) -> None:
    with pytest.raises(UserError, match=r"no recipe.yaml"):
        resume(tmp_path / "nothing")


def test_another_network_in_the_recipe(tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tiny, tmp_path, Told(1))
    load_recipe(tmp_path / "recipe.yaml").changed({"model.options": {"aux": True}}).save(tmp_path / "recipe.yaml")
    with pytest.raises(UserError, match="another network"):
        resume(tmp_path)


@pytest.mark.parametrize("again", [True, False])
def test_stopped_before_the_first_checkpoint_it_begins_again(
    whole: Path, tiny: Recipe, tmp_path: Path, again: bool
) -> None:
    """The plug was pulled after recipe.yaml and before last/: both ways to go on take the folder."""
    told = Told()
    tiny.save(tmp_path / "recipe.yaml")
    if again:
        train(tiny, tmp_path, told)
    else:
        resume(tmp_path, told)
    assert told.steps == list(range(1, 8))
    assert_equal(tmp_path, whole)


def test_interrupted_while_the_data_is_read(
    whole: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at_call(patch, TrainingSet, "keep_in_memory", 1, terminate)
        with pytest.raises(Interrupted):
            train(tiny, tmp_path / "run")
    resume(tmp_path / "run")
    assert_equal(tmp_path / "run", whole)


def test_two_trainings_do_not_share_a_folder(tiny: Recipe, tmp_path: Path) -> None:
    said: list[str] = []

    def another(step: int) -> None:
        if step == 2:
            with pytest.raises(UserError, match="another training is at work in this folder") as caught:
                resume(tmp_path / "run")
            said.append(str(caught.value))

    train(tiny, tmp_path / "run", Doing(another))
    assert len(said) == 1 and "\n" not in said[0]
    assert not (tmp_path / "run" / ".lock").exists()


class Doing(Told):
    """Does something at each step."""

    def __init__(self, do: Callable[[int], None]) -> None:
        super().__init__()
        self.do = do

    def step(self, step: int, steps: int, text: str) -> None:
        super().step(step, steps, text)
        if text.startswith("loss"):
            self.do(step)


def test_the_best_bundle_says_what_evaluate_finds(whole: Path, tiny: Recipe) -> None:
    from perpixel.data.folders import open_dataset

    predictor = load(whole, device="cpu")
    assert predictor.info is not None
    dataset = open_dataset(tiny.data.path)
    measured = evaluate(predictor, dataset.split("val"), dataset.taxonomy, ("confusion",)).results
    claimed = predictor.info.metrics
    assert len(measured) == 12
    assert {k: claimed[k] for k in measured} == measured
    assert claimed["split"] == "val"
    assert claimed["images"] == 3
    assert predictor.info.data["train_images"] == 5
    assert measured["mean_iou"] == max(r.get("val_mean_iou", 0) for r in outcome(whole)[1]["rows"])
