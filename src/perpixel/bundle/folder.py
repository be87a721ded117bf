"""A bundle: what training leaves and everything else takes.

BUNDLE/
  model.safetensors   the weights, no pickle
  model.json          network, classes, preprocessing, what was measured and on what, the weights' SHA-256

Over an older bundle a new one counts from the rename of its model.json on: its weights are on the disk by then, beside the
older ones. A process that is killed at any moment leaves the older bundle or the newer one, whole.
"""

import json
import os
from pathlib import Path

import torch
from torch import nn

import perpixel
from perpixel.bundle.info import INFO, BundleInfo, read_info
from perpixel.bundle.network import build_for
from perpixel.bundle.weights import read_tensors, write_tensors
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import clean_leftovers, sha256_file, write_text

WEIGHTS = "model.safetensors"
NEXT = f".{WEIGHTS}.next"
"""The weights of a bundle that is being written; a kill may leave the newest ones here."""
BUNDLED = Path(perpixel.__file__).parent / "weights"


def save_bundle(folder: str | Path, model: nn.Module, info: BundleInfo) -> Path:
    """Writes a bundle; at every moment the folder holds the older one or the new one, whole.

    Raises:
        OSError: the disk is full or the folder cannot be written to; the older bundle is as it was.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    clean_leftovers(folder)
    _settle(folder)
    write_tensors(folder / NEXT, model.state_dict())
    info = info.model_copy(update={"sha256": sha256_file(folder / NEXT), "perpixel": perpixel.__version__})
    write_text(folder / INFO, json.dumps(info.model_dump(), indent=2) + "\n")
    os.replace(folder / NEXT, folder / WEIGHTS)
    return folder


def _settle(folder: Path) -> None:
    """Ends what a killed save began: weights that model.json speaks of get their name, others go."""
    if not (folder / NEXT).is_file():
        return
    try:
        wanted = read_info(folder).sha256
    except UserError:  # there is no bundle yet, or none that counts
        wanted = ""
    if sha256_file(folder / NEXT) == wanted:
        os.replace(folder / NEXT, folder / WEIGHTS)
    else:
        (folder / NEXT).unlink()


def find_bundle(path_or_name: str | Path) -> Path:
    """The folder of a bundle: itself, a run's `best/`, or a bundled name such as "street".

    Raises:
        UserError: there is none.
    """
    path = Path(path_or_name)
    for folder in (path, path / "best", BUNDLED / str(path_or_name)):
        if (folder / INFO).is_file():
            return folder
    names = sorted(p.name for p in BUNDLED.iterdir() if (p / INFO).is_file()) if BUNDLED.is_dir() else []
    what = f"{path} holds no {INFO}" if path.is_dir() else f'"{path_or_name}" is no bundle, no run and no bundled model'
    bundled = f"bundled: {', '.join(names)}" if names else "no model is bundled"
    raise UserError(f"{what}; give a bundle or run folder ({bundled}).{nearest(str(path_or_name), names)}")


def load_bundle(path_or_name: str | Path) -> tuple[nn.Module, BundleInfo]:
    """The network in eval mode and its description.

    Raises:
        UserError: no bundle there; the weights are missing, truncated, altered, or not this network's.
    """
    folder = find_bundle(path_or_name)
    info, state = read_bundle(folder)
    try:
        model = build_for(info, state)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    return model.eval(), info


def read_bundle(folder: Path) -> tuple[BundleInfo, dict[str, torch.Tensor]]:
    """A bundle's description and its tensors.

    Raises:
        UserError: the description is none, or the weights are missing, truncated or altered.
    """
    for _ in range(2):  # a run may write a better one between the reading of the two files
        info = read_info(folder)
        for name in (WEIGHTS, NEXT):
            state = read_tensors(folder / name, info.sha256)
            if state is not None:
                return info, state
    file = folder / WEIGHTS
    if not file.is_file():
        raise UserError(f"{file}: no such file; the bundle is incomplete, copy it again")
    raise UserError(f"{file}: the SHA-256 is not the one in {INFO}; the file is truncated or altered, copy it again")
