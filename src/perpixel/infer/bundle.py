"""A bundle: what training leaves and everything else takes.

BUNDLE/
  model.safetensors   the weights, no pickle
  model.json          network, classes, preprocessing, what was measured and on what, the weights' SHA-256
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveFloat, PositiveInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

import perpixel
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import atomic_write, sha256_file, write_text
from perpixel.infer.preprocessing import Preprocessing
from perpixel.labels import Taxonomy
from perpixel.models import build

WEIGHTS, INFO = "model.safetensors", "model.json"
BUNDLED = Path(perpixel.__file__).parent / "weights"
FORMAT = "perpixel bundle 1"


class BundleInfo(BaseModel):
    """model.json. `network` has name and options; `training` and `metrics` say where the weights come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    perpixel: str = perpixel.__version__
    network: str
    options: dict[str, Any] = {}
    taxonomy: dict[str, Any]
    channels: PositiveInt
    mean: tuple[FiniteFloat, ...]
    std: tuple[PositiveFloat, ...]
    short_side: PositiveInt | None = None
    scale: PositiveFloat = 1.0
    bgr: bool = False
    logit_bias: tuple[float, ...] = ()
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    data: dict[str, Any] = {}
    sha256: str = ""

    @property
    def classes(self) -> Taxonomy:
        """The taxonomy as an object."""
        return Taxonomy.from_dict(self.taxonomy)

    @property
    def preprocessing(self) -> Preprocessing:
        """Channels, their order, mean, std and working size as an object."""
        return Preprocessing(self.channels, self.mean, self.std, self.short_side, self.scale, self.bgr)


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


def read_info(folder: Path) -> BundleInfo:
    """model.json of a bundle, checked.

    Raises:
        UserError: it is not a bundle's, or of a newer format.
    """
    file = folder / INFO
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("format", FORMAT) != FORMAT:
            raise UserError(f'{file}: written as "{data["format"]}", this perpixel reads "{FORMAT}"; update perpixel')
        info = BundleInfo.model_validate(data)
        _ = info.classes, info.preprocessing
    except UserError as error:
        raise error if str(file) in str(error) else UserError(f"{file}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{file}: not a bundle's description ({where + ': ' if where else ''}{first['msg']})"
        ) from error
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{file}: not a bundle's description ({_line(error)})") from error
    return info


def load_bundle(path_or_name: str | Path) -> tuple[nn.Module, BundleInfo]:
    """The network in eval mode and its description.

    Raises:
        UserError: no bundle there; the weights are missing, truncated, altered, or not this network's.
    """
    folder = find_bundle(path_or_name)
    info = read_info(folder)
    state = read_weights(folder / WEIGHTS, info.sha256)
    model = _empty_network(info, folder / INFO)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{folder / WEIGHTS}: these are not the weights of {info.network} ({_line(error)})") from error
    return model.eval(), info


def without_download(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a network whose weights come from elsewhere: `pretrained` must not fetch what is replaced at once."""
    inner = {k: without_download(v) if isinstance(v, Mapping) else v for k, v in options.items()}  # network_options
    return {**inner, "pretrained": False} if "pretrained" in options else inner


def _empty_network(info: BundleInfo, file: Path) -> nn.Module:
    classes, options = info.classes.num_classes, without_download(info.options)
    try:
        return build(info.network, num_classes=classes, in_channels=info.channels, **options)
    except Exception as error:  # networks raise whatever they like for options that make no sense
        raise UserError(f"{file}: the network cannot be built with {info.options} ({_line(error)})") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


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
        raise UserError(f"{file}: not a safetensors file ({_line(error)})") from error
