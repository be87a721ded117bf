"""Checkpoints to resume from: safetensors and JSON, written aside and renamed, the one before kept.

RUN/last/state.safetensors   model, moving average, optimiser, random state
RUN/last/state.json          step and the rest, the SHA-256 of the tensors and of itself
RUN/previous/                the checkpoint before, taken when last/ is damaged
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from perpixel.bundle import write_tensors
from perpixel.core.errors import UserError
from perpixel.core.files import flush, sha256_file, write_text

TENSORS, STATE = "state.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name and a JSON-able state."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Writes `last/`; a crash at any moment leaves a whole `last/` or `previous/` behind.

    Raises:
        OSError: the disk is full or the folder cannot be written to; it names the file.
    """
    aside = run / ".last.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write_tensors(aside / TENSORS, checkpoint.tensors)
        state = {**checkpoint.state, "tensors_sha256": sha256_file(aside / TENSORS)}
        write_text(aside / STATE, json.dumps({"state": state, "sha256": _digest(state)}))
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)  # room for what is written next
        raise
    if (run / "last").exists():
        shutil.rmtree(run / "previous", ignore_errors=True)
        os.rename(run / "last", run / "previous")
    os.rename(aside, run / "last")
    flush(run)


def load_checkpoint(run: Path) -> tuple[Checkpoint, str]:
    """The newest whole checkpoint, and a line about it where it is not `last/` ("" otherwise).

    Raises:
        UserError: there is none, or all are damaged.
    """
    faults = []
    for name in ("last", "previous"):
        try:
            checkpoint = _read(run / name)
        except UserError as error:
            faults.append(str(error))
        else:
            return checkpoint, f"{faults[0]}; resuming from the checkpoint before it" if faults else ""
    raise UserError(f"{run}: no checkpoint to resume from ({'; '.join(faults)})")


def _read(folder: Path) -> Checkpoint:
    try:
        saved = json.loads((folder / STATE).read_text(encoding="utf-8"))
        state, digest = saved["state"], saved["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / STATE} is missing or truncated") from error
    if digest != _digest(state):
        raise UserError(f"{folder / STATE} was altered")
    if not (folder / TENSORS).is_file() or sha256_file(folder / TENSORS) != state["tensors_sha256"]:
        raise UserError(f"{folder / TENSORS} is missing, truncated or altered")
    try:
        return Checkpoint(load_file(folder / TENSORS), state)
    except SafetensorError as error:
        raise UserError(f"{folder / TENSORS} is not a safetensors file ({error})") from error


def _digest(state: Any) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors, without pickle."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{index}.{key}": torch.as_tensor(value)
        for index, entry in state.items()
        for key, value in entry.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
