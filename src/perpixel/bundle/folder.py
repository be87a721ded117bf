"""A bundle: what training leaves and everything else takes.

BUNDLE/
  model.safetensors   the weights, no pickle
  model.json          network, classes, preprocessing, what was measured and on what, the weights' SHA-256
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

import perpixel
from perpixel.bundle.info import INFO, BundleInfo, one_line, read_info
from perpixel.bundle.network import build_empty
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import atomic_write, sha256_file, write_text

WEIGHTS = "model.safetensors"
BUNDLED = Path(perpixel.__file__).parent / "weights"


def save_bundle(folder: str | Path, model: nn.Module, info: BundleInfo) -> Path:
    """Writes a bundle; each file is written aside and renamed, the description last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    with atomic_write(folder / WEIGHTS) as aside:
        save_file(state, aside)
    info = info.model_copy(update={"sha256": sha256_file(folder / WEIGHTS), "perpixel": perpixel.__version__})
    write_text(folder / INFO, json.dumps(info.model_dump(), indent=2) + "\n")
    return folder


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
    info = read_info(folder)
    state = read_weights(folder / WEIGHTS, info.sha256)
    try:
        model = build_empty(info)
    except UserError as error:
        raise UserError(f"{folder / INFO}: {error}") from error
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{folder / WEIGHTS}: these are not the weights of {info.network} ({one_line(error)})"
        ) from error
    return model.eval(), info


def read_weights(file: Path, sha256: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file whose hash is known.

    Raises:
        UserError: missing, truncated or altered.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file; the bundle is incomplete, copy it again")
    if sha256_file(file) != sha256:
        raise UserError(
            f"{file}: the SHA-256 is not the one in {INFO}; the file is truncated or altered, copy it again"
        )
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: not a safetensors file ({one_line(error)})") from error
