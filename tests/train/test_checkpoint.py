"""Checkpoints: whole or refused, with the one before in reserve, whenever a crash comes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import nn

import perpixel.bundle.weights
from perpixel.core.errors import UserError
from perpixel.train import checkpoint as module
from perpixel.train.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)


def a_checkpoint(step: int) -> Checkpoint:
    tensors = {"model.w": torch.full((3, 4), float(step)), "random": torch.arange(8, dtype=torch.uint8)}
    return Checkpoint(tensors, {"step": step, "rows": [{"loss": 0.1 + step, "name": "é"}], "best": -1.0})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with the checkpoints of steps 1 and 2."""
    for step in (1, 2):
        save_checkpoint(tmp_path, a_checkpoint(step))
    return tmp_path


def test_round_trip(run: Path) -> None:
    loaded, note = load_checkpoint(run)
    assert note == ""
    wanted = a_checkpoint(2)
    assert {k: v for k, v in loaded.state.items() if k != "tensors_sha256"} == wanted.state
    assert loaded.tensors.keys() == wanted.tensors.keys()
    assert all(torch.equal(loaded.tensors[k], wanted.tensors[k]) for k in wanted.tensors)
    assert loaded.tensors["random"].dtype == torch.uint8
    assert sorted(p.name for p in run.iterdir()) == ["last", "previous"]


def damage(kind: str, folder: Path) -> None:
    part, how = kind.split()
    file = folder / {"tensors": "state.safetensors", "state": "state.json"}[part]
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes({"truncated": content[:-3], "empty": b"", "altered": flipped, "garbage": b"[1]"}[how])


KINDS = [f"{p} {h}" for p in ("tensors", "state") for h in ("missing", "truncated", "empty", "altered", "garbage")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Path, kind: str) -> None:
    damage(kind, run / "last")
    loaded, note = load_checkpoint(run)
    assert loaded.state["step"] == 1
    assert "last" in note
    assert "resuming from the checkpoint before" in note
    assert "\n" not in note


@pytest.mark.parametrize("kind", KINDS)
def test_two_damaged_ones_are_refused(run: Path, kind: str) -> None:
    damage(kind, run / "last")
    damage("tensors altered", run / "previous")
    with pytest.raises(UserError, match="no checkpoint to resume from") as caught:
        load_checkpoint(run)
    assert "last" in str(caught.value)
    assert "previous" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_bit_counts(run: Path) -> None:
    """100 flips of single bits in either file: never taken for step 2."""
    rng, tried = np.random.default_rng(0), 0
    for name in ("state.safetensors", "state.json"):
        file = run / "last" / name
        whole = file.read_bytes()
        for bit in rng.choice(len(whole) * 8, 50, replace=False).tolist():
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            file.write_bytes(damaged)
            assert load_checkpoint(run)[0].state["step"] == 1
            tried += 1
        file.write_bytes(whole)
    assert tried == 100
    assert load_checkpoint(run)[0].state["step"] == 2


def test_a_crash_at_any_point_leaves_one_whole(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call that touches the disk is made to fail once, and once after it was done."""
    places: list[tuple[Any, str]] = [
        (module, "write_tensors"),
        (module, "write_text"),
        (module, "sha256_file"),
        (Path, "write_text"),
        (os, "fsync"),
        (shutil, "rmtree"),
        (os, "rename"),
        (Path, "mkdir"),
    ]
    crashes = 0

    class PowerCut(BaseException):
        pass

    def breaking(real: Callable[..., Any], at: int, after: bool) -> Callable[..., Any]:
        calls = 0

        def call(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls != at:
                return real(*args, **options)
            if after:
                real(*args, **options)
            raise PowerCut

        return call

    step = 2
    for owner, name in places:
        for at in (1, 2):
            for after in (False, True):
                with monkeypatch.context() as patch:
                    patch.setattr(owner, name, breaking(getattr(owner, name), at, after))
                    try:
                        save_checkpoint(run, a_checkpoint(step + 1))
                    except PowerCut:
                        crashes += 1
                    else:
                        step += 1
                found = load_checkpoint(run)[0].state["step"]
                assert found in (step, step + 1), (name, at, after)
                save_checkpoint(run, a_checkpoint(step + 1))  # and the next save is as if nothing had been
                step += 1
                assert load_checkpoint(run)[0].state["step"] == step
    assert crashes >= 2 * len(places)


def test_a_full_disk_while_writing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors says it in an error of its own; either way it is the system's error, with the file's name."""

    def half(tensors: Any, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    def full(text: str) -> None:
        raise OSError(28, "No space left on device")

    for place, name, broken, file in (
        (perpixel.bundle.weights, "save_file", half, "state.safetensors"),
        (Path, "write_text", lambda path, text, **_: full(text), "state.json"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, broken)
            with pytest.raises(OSError, match="No space") as caught:
                save_checkpoint(run, a_checkpoint(3))
        assert caught.value.errno == 28
        assert Path(caught.value.filename).name == file
        assert sorted(p.name for p in run.iterdir()) == ["last", "previous"]
        assert load_checkpoint(run)[0].state["step"] == 2


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.AdamW(p, 0.1),
        lambda p: torch.optim.Adam(p, 0.1, amsgrad=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        lambda p: torch.optim.SGD(p, 0.1),
    ],
)
def test_optimiser_goes_on_exactly(make: Callable[[Any], torch.optim.Optimizer], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    optimiser = make(model.parameters())

    def steps(optimiser: torch.optim.Optimizer, model: nn.Module, n: int) -> None:
        for i in range(n):
            optimiser.zero_grad()
            model(torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(i))).square().sum().backward()
            optimiser.step()

    steps(optimiser, model, 3)
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()} | optimiser_tensors(optimiser)
    save_checkpoint(tmp_path, Checkpoint(tensors, {}))
    steps(optimiser, model, 3)
    again = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    other = make(again.parameters())
    loaded = load_checkpoint(tmp_path)[0].tensors
    again.load_state_dict({k[6:]: v for k, v in loaded.items() if k.startswith("model.")})
    restore_optimiser(other, loaded)
    steps(other, again, 3)
    for k, v in model.state_dict().items():
        assert torch.equal(v, again.state_dict()[k]), k
    ours, theirs = optimiser_tensors(optimiser), optimiser_tensors(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
