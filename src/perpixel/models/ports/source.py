"""What a source of public weights must say, and how its weights become a network of ours.

A source is somebody else's code whose checkpoints users have. It looks at a state dict and answers with a `Reading`: which
network of ours that is, with which options and for how many classes, and what each of its keys is called here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.models.ports.faults import refuse, shown, their_names

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Pixels:
    """What the source's networks take: mean and std a channel for pixels in [0, 1], in RGB order or in BGR.

    A network of Caffe's kind, BGR from 0 to 255 less a mean, has `mean / 255` in BGR order and a std of 1 / 255.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False

    def for_channels(self, channels: int) -> "Pixels":
        """The same for 3 channels. Of others a source says nothing: each gets the average of the three.

        >>> Pixels((0.25, 0.5, 0.75), (0.25, 0.25, 0.25), bgr=True).for_channels(2)
        Pixels(mean=(0.5, 0.5), std=(0.25, 0.25), bgr=False)
        """
        if channels == 3:
            return self
        return Pixels((sum(self.mean) / 3,) * channels, (sum(self.std) / 3,) * channels)


IMAGENET = Pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
UNIT = Pixels((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Pixels in [0, 1], nothing taken away."""


@dataclass(frozen=True)
class Reading:
    """What a state dict turned out to be.

    Args:
        network: a name of the catalog.
        options: its constructor's options, as far as the weights decide them.
        num_classes: of the checkpoint's segmentation head; None where it has none (a classifier's weights).
        rename: the source's key -> ours. What is no key of our network is an error that names the source's key.
        heads: the beginnings of our keys whose shapes depend on the number of classes. They stay fresh where the
            checkpoint's number is not the one asked for.
        unused: the beginnings of the source's keys that are left out on purpose, such as a classifier's last layer.
        reshape: the beginnings of our keys whose numbers come in another shape: a linear layer that is a convolution here.
        build: what makes the network where the catalog does not have it, called with `(num_classes, in_channels)`.
        in_channels: of the first convolution.
        convert: called with (our key, tensor) for numbers that are laid out in another order there.
        prepare: called with the whole state dict first, where several of its tensors become one of ours.
        single: keys of the source like which it has no other: names for an error that says that they are missing.
        pixels: what these weights were trained on, where that is not what the source's networks are.
    """

    network: str
    options: Mapping[str, Any]
    num_classes: int | None
    rename: Callable[[str], str]
    heads: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    reshape: tuple[str, ...] = ()
    build: Callable[[int, int], nn.Module] | None = None
    in_channels: int = 3
    convert: Callable[[str, Tensor], Tensor] | None = None
    prepare: Callable[[State], State] | None = None
    single: tuple[str, ...] = ()
    pixels: Pixels | None = None


@dataclass(frozen=True)
class Source:
    """Somebody's code. `read` is called with a state dict and the name of the network asked for, or None.

    `about` is a line for lists; `pixels` what its networks were trained on; `networks` the names that may be asked for,
    empty where the weights decide; `classes` names a known taxonomy for a number of classes; `void` says for a number of
    classes which one of them is what is not labelled, beside those of a known taxonomy. `decides` says that `read` chooses
    where no network is asked for.
    """

    about: str
    read: Callable[[State, str | None], Reading]
    pixels: Pixels = IMAGENET
    networks: tuple[str, ...] = ()
    classes: Mapping[int, str] = field(default_factory=dict)
    void: Mapping[int, int] = field(default_factory=dict)
    decides: bool = False


WRAPPERS = ("state_dict", "model_state_dict", "model_state", "state", "model", "net", "ema_state_dict")


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict in a checkpoint: out of "state_dict" and its like, without the "module." of a parallel wrapper.

    Raises:
        UserError: there is no mapping of names to tensors in it.
    """
    found: Any = checkpoint
    while isinstance(found, Mapping) and not any(isinstance(v, Tensor) for v in found.values()):
        inner = [found[k] for k in WRAPPERS if isinstance(found.get(k), Mapping)]
        if not inner:
            raise UserError(f"expected a state dict (names to tensors), got keys {shown(map(str, found))}")
        found = inner[0]
    if not isinstance(found, Mapping):
        raise UserError(f"expected a state dict (names to tensors), got {type(found).__name__}")
    state = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
    while state and all(k.startswith("module.") for k in state):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    return state


def translate(
    state: State, reading: Reading, model: nn.Module, keep_heads: bool, without: int | None = None
) -> dict[str, Tensor]:
    """The source's tensors under our names, complete for `model`; the heads' without the class of that number.

    Raises:
        UserError: a key is left over, missing, or of another shape; all are listed.
    """
    state = reading.prepare(state) if reading.prepare else state
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    source_key: dict[str, str] = {}
    extra: list[str] = []
    for key, tensor in state.items():
        if key.startswith(reading.unused):
            continue
        name = reading.rename(key)
        if not keep_heads and name.startswith(reading.heads):
            continue
        if name not in own or name in found:
            extra.append(key)
            continue
        tensor = reading.convert(name, tensor) if reading.convert else tensor
        if without is not None and name.startswith(reading.heads):
            tensor = cut(tensor, own[name], without)
        reshaped = name.startswith(reading.reshape) and rows(tensor) == rows(own[name])
        found[name] = tensor.reshape(own[name].shape) if reshaped else tensor
        source_key[name] = key
    unsaid = () if keep_heads else reading.heads
    missing = [k for k in own if k not in found and not k.startswith(unsaid) and not is_counter(k)]
    wrong = [
        f"{source_key[k]} {tuple(t.shape)}, expected {tuple(own[k].shape)}"
        for k, t in found.items()
        if t.shape != own[k].shape
    ]
    refuse(f"a {reading.network} from there", their_names(missing, state, reading.rename, reading.single), extra, wrong)
    return {k: found.get(k, own[k]) for k in own}


def cut(tensor: Tensor, own: Tensor, index: int) -> Tensor:
    """`tensor` without one index of the axis along which `own` is shorter by one; as it is where there is no such axis."""
    for axis, (theirs, ours) in enumerate(zip(tensor.shape, own.shape, strict=False)):
        if theirs == ours + 1:
            return torch.cat([tensor.narrow(axis, 0, index), tensor.narrow(axis, index + 1, ours - index)], dim=axis)
    return tensor


def rows(tensor: Tensor) -> tuple[tuple[int, ...], int]:
    """How many outputs a layer's weights are for, and how many numbers they are: what a change of shape must keep."""
    return tuple(tensor.shape[:1]), tensor.numel()


def is_counter(key: str) -> bool:
    """A batch norm's count of batches, which checkpoints from before PyTorch 0.4.1 do not have and eval does not use."""
    return key.endswith("num_batches_tracked")


def has(state: State, *beginnings: str) -> bool:
    """Whether a key begins with one of these: what a network has is told by more than one key, of which any may be missing."""
    return any(key.startswith(beginnings) for key in state)


def weight(state: State, key: str, what: str) -> Tensor:
    """A tensor by its key, for reading off a size. Raises `UserError` where it is not there: `what` names the source."""
    if key not in state:
        raise UserError(f'this is no state dict of {what}: it has no "{key}", but {shown(state)}')
    return state[key]


def count(state: State, pattern: str) -> int:
    """How many different numbers stand in the place of `#` in the keys that begin so.

    >>> import torch
    >>> count({"layer1.0.conv1.weight": torch.zeros(1), "layer1.1.conv1.weight": torch.zeros(1)}, "layer1.#.")
    2
    """
    regex = re.compile(re.escape(pattern).replace(r"\#", r"(\d+)").replace("#", r"(\d+)"))
    return len({match.group(1) for key in state if (match := regex.match(key))})


Rule = tuple[str, str | Callable[["re.Match[str]"], str]]
"""A pattern and what `re.sub` is to put in its place."""


def renamed(key: str, rules: Sequence[Rule]) -> str:
    """A key after regular expressions, each applied once, in order: (pattern, replacement).

    >>> renamed("layer1.0.bn2.weight", RESIDUAL)
    'layer1.0.convs.1.norm.weight'
    """
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


RESIDUAL = (
    (r"(?<=\.)conv1(?=\.)", "convs.0.conv"),
    (r"(?<=\.)conv2(?=\.)", "convs.1.conv"),
    (r"(?<=\.)conv3(?=\.)", "convs.2.conv"),
    (r"(?<=\.)bn1(?=\.)", "convs.0.norm"),
    (r"(?<=\.)bn2(?=\.)", "convs.1.norm"),
    (r"(?<=\.)bn3(?=\.)", "convs.2.norm"),
    (r"(?<=\.)downsample\.0(?=\.)", "shortcut.conv"),
    (r"(?<=\.)downsample\.1(?=\.)", "shortcut.norm"),
)
"""The parts of torchvision's residual blocks, whose names nearly all ports share, as `layers.residual` calls them."""
