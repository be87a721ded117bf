"""What a source of public weights must say, and how its weights become a network of ours.

A source is somebody else's code whose checkpoints users have. It looks at a state dict and answers with a `Reading`: which
network of ours that is, with which options and for how many classes, and what each of its keys is called here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from perpixel.core.errors import UserError

State = Mapping[str, Tensor]
SHOWN = 6
"""How many keys an error lists before it says "and n more"."""


@dataclass(frozen=True)
class Pixels:
    """What the source's networks take: mean and std a channel for pixels in [0, 1], in RGB order or in BGR.

    A network of Caffe's kind, BGR from 0 to 255 less a mean, has `mean / 255` in BGR order and a std of 1 / 255.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False


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


@dataclass(frozen=True)
class Source:
    """Somebody's code. `read` is called with a state dict and the name of the network asked for, or None.

    `about` is a line for lists; `pixels` what its networks were trained on; `networks` the names that may be asked for,
    empty where the weights decide; `classes` names a known taxonomy for a number of classes. `decides` says that `read`
    chooses where no network is asked for.
    """

    about: str
    read: Callable[[State, str | None], Reading]
    pixels: Pixels = IMAGENET
    networks: tuple[str, ...] = ()
    classes: Mapping[int, str] = field(default_factory=dict)
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


def translate(state: State, reading: Reading, model: nn.Module, keep_heads: bool) -> dict[str, Tensor]:
    """The source's tensors under our names, complete for `model`.

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
    refuse(f"a {reading.network} from there", their_names(missing, state, reading.rename), extra, wrong)
    return {k: found.get(k, own[k]) for k in own}


def rows(tensor: Tensor) -> tuple[tuple[int, ...], int]:
    """How many outputs a layer's weights are for, and how many numbers they are: what a change of shape must keep."""
    return tuple(tensor.shape[:1]), tensor.numel()


def refuse(what: str, missing: list[str], extra: list[str], wrong: list[str]) -> None:
    """Raise `UserError` with the keys at fault, unless there are none."""
    faults = [("missing", missing), ("unknown", extra), ("of another shape", wrong)]
    if any(keys for _, keys in faults):
        said = "; ".join(f"{kind}: {shown(keys)}" for kind, keys in faults if keys)
        raise UserError(f"these are not the weights of {what}: {said}")


def their_names(keys: list[str], state: State, rename: Callable[[str], str]) -> list[str]:
    """Keys of ours that the source's state dict lacks, as the source would call them; ours where that cannot be told.

    >>> their_names(["stage.3.bias"], {"layer2.bias": 0, "layer3.weight": 0}, lambda k: k.replace("layer", "stage."))
    ['layer3.bias']
    """
    wanted = set(keys[:SHOWN])
    names: dict[str, str] = {}
    for guess in guesses(state) if wanted else ():
        with suppress(IndexError, KeyError, ValueError):  # `rename` may trip over a key that nobody has
            name = rename(guess)
            if name in wanted and guess not in state:
                names.setdefault(name, guess)
        if len(names) == len(wanted):
            break
    return [names.get(key, key) for key in keys]


def guesses(state: Iterable[str]) -> Iterator[str]:
    """Keys like those of a state dict, but for the last part, the beginning, or one number."""
    highest = max((int(number) for key in state for number in re.findall(r"\d+", key)), default=0)
    for key in state:
        parts = key.split(".")
        yield from (".".join([*parts[:-1], leaf]) for leaf in ("weight", "bias", "running_mean", "running_var"))
        yield from (".".join(parts[i:]) for i in range(1, len(parts)))
    for template in dict.fromkeys(
        (key[: number.start()], key[number.end() :]) for key in state for number in re.finditer(r"\d+", key)
    ):
        yield from (str(i).join(template) for i in range(highest + 1))


def is_counter(key: str) -> bool:
    """A batch norm's count of batches, which checkpoints from before PyTorch 0.4.1 do not have and eval does not use."""
    return key.endswith("num_batches_tracked")


def shown(keys: Any) -> str:
    """Some keys, and how many more there are.

    >>> shown("abcdefgh")
    'a, b, c, d, e, f and 2 more'
    """
    keys = list(keys)
    more = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {more} more" if more > 0 else "")


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
