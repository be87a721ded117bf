"""A bundle is whole at every moment: through a kill at each step, a full disk, a reader beside the writer."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

import perpixel.bundle.weights
from perpixel.bundle import BundleInfo, load_bundle, save_bundle, write_tensors
from perpixel.bundle.folder import NEXT
from perpixel.models import build

FILES = ["model.json", "model.safetensors"]


class Killed(BaseException):
    """From here on nothing is done any more, not even what `finally` asks for."""


def kill_at(step: int, patch: pytest.MonkeyPatch) -> dict[str, int]:
    """Every system call of a save from the `step`-th on fails; a write that is cut leaves half a file."""
    done = {"steps": 0}

    def dying(real: Callable[..., Any], cut: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            done["steps"] += 1
            if done["steps"] >= step:
                if cut and done["steps"] == step:
                    cut(*arguments)
                raise Killed
            return real(*arguments, **named)

        return call

    for name in ("replace", "fsync", "chmod", "unlink"):
        patch.setattr(os, name, dying(getattr(os, name)))
    write = Path.write_text
    patch.setattr(Path, "write_text", dying(write, lambda path, text, **_: write(path, text[: len(text) // 2])))
    save = perpixel.bundle.weights.save_file
    patch.setattr(perpixel.bundle.weights, "save_file", dying(save, lambda _, path: path.write_bytes(b"\x08half")))
    return done


def weights(model: nn.Module) -> torch.Tensor:
    return model.state_dict()["score.weight"]


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build("unet", num_classes=3, width=2, padding="same").eval()


def save(bundle: Path, info: BundleInfo, seed: int, killed_at: int = 10**6) -> int:
    """Saves network `seed` with its number as a figure; how many steps that took."""
    with pytest.MonkeyPatch.context() as patch:
        done = kill_at(killed_at, patch)
        with suppress(Killed):
            save_bundle(bundle, network(seed), info.model_copy(update={"metrics": {"seed": seed}}))
    return done["steps"]


def seed_of(bundle: Path) -> int:
    """Which network a bundle holds, by its description and by its weights."""
    loaded, read = load_bundle(bundle)
    seed = int(read.metrics["seed"])
    assert torch.equal(weights(loaded), weights(network(seed)))
    return seed


@pytest.mark.parametrize("settled", [True, False], ids=["over a whole one", "over one that a kill left unsettled"])
def test_a_kill_at_any_step_leaves_a_whole_bundle(bundle: Path, info: BundleInfo, settled: bool) -> None:
    steps = save(bundle, info, 1)
    assert steps >= 9
    found = []
    for step in range(1, steps + 3):
        save(bundle, info, 1)
        if not settled:  # killed at the last step, after the rename that counts
            save(bundle, info, 2, killed_at=steps)
            assert (bundle / NEXT).exists()
        before = seed_of(bundle)
        assert before == (1 if settled else 2)
        save(bundle, info, 3, killed_at=step)
        found.append(seed_of(bundle))
        assert found[-1] in (before, 3), f"killed at step {step}"
    assert found[0] == before and found[-1] == 3
    save(bundle, info, 4)
    assert seed_of(bundle) == 4
    assert sorted(p.name for p in bundle.iterdir()) == FILES


def test_a_kill_in_a_first_save_leaves_room_for_the_next(tmp_path: Path, info: BundleInfo) -> None:
    for step in range(1, 12):
        folder = tmp_path / str(step)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(step, patch)
            with pytest.raises(Killed):
                save_bundle(folder, network(1), info)
        save_bundle(folder, network(2), info)
        assert torch.equal(weights(load_bundle(folder)[0]), weights(network(2)))
        assert sorted(p.name for p in folder.iterdir()) == FILES


def test_files_of_the_user_stay(bundle: Path, info: BundleInfo) -> None:
    (bundle / "README.md").write_text("mine")
    (bundle / ".model.json.1.partial.json").write_text("{")  # process 1 is another's and runs
    (bundle / ".model.json.999999999.partial.json").write_text("{")
    save_bundle(bundle, network(3), info)
    assert sorted(p.name for p in bundle.iterdir()) == sorted([".model.json.1.partial.json", "README.md", *FILES])


def test_a_bundle_written_before_the_next_file_existed(bundle: Path, info: BundleInfo) -> None:
    """Plain files without the keys of today load, and a save over them keeps to its promise."""
    described = json.loads((bundle / "model.json").read_text())
    for key in ("dtype", "value_range"):
        del described[key]
    (bundle / "model.json").write_text(json.dumps(described))
    assert load_bundle(bundle)[1].preprocessing.dtype is None
    with pytest.MonkeyPatch.context() as patch:
        kill_at(4, patch)
        with pytest.raises(Killed):
            save_bundle(bundle, network(4), info)
    assert load_bundle(bundle)[1].metrics == {"mean_iou": 0.5}


def test_a_better_one_may_be_written_while_one_is_read(
    bundle: Path, info: BundleInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first = perpixel.bundle.weights.read_tensors, []

    def read(file: Path, sha256: str) -> Any:
        if not first:
            first.append(file)
            save_bundle(bundle, network(5), info.model_copy(update={"metrics": {"mean_iou": 0.9}}))
        return real(file, sha256)

    monkeypatch.setattr("perpixel.bundle.folder.read_tensors", read)
    loaded, read_info = load_bundle(bundle)
    assert read_info.metrics == {"mean_iou": 0.9}
    assert torch.equal(weights(loaded), weights(network(5)))


def test_a_full_disk_is_the_systems_word_and_names_the_file(
    bundle: Path, info: BundleInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(perpixel.bundle.weights, "save_file", full)
    with pytest.raises(OSError, match=re.escape("No space left on device")) as caught:
        save_bundle(bundle, network(6), info)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(bundle / NEXT))
    assert load_bundle(bundle)[1].metrics == {"mean_iou": 0.5}
    assert sorted(p.name for p in bundle.iterdir()) == FILES


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file size there")
def test_what_safetensors_really_raises_is_understood(tmp_path: Path) -> None:
    """A limit of file size stands for a full disk: the same writes fail the same way."""
    code = (
        "import resource, sys, torch\nfrom pathlib import Path\nfrom perpixel.bundle import write_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))\n"
        "try: write_tensors(Path(sys.argv[1]), {'x': torch.zeros(10**5)})\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    file = tmp_path / "x.safetensors"
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(errno.EFBIG), str(file)], done.stderr
    assert list(tmp_path.iterdir()) == []
    write_tensors(file, {"x": torch.zeros(3)})
