"""The network that a bundle describes, built without a download, and without memory before its shapes are known to be right."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from perpixel.bundle.info import BundleInfo, one_line
from perpixel.core.errors import UserError
from perpixel.models import build
from perpixel.models.catalog import without_download

_SLACK_NUMBERS, _SLACK_MODULES = 2**24, 2000
"""What building may make beyond what the weights hold: a backbone is cut out of a whole classifier, for one."""
_LARGE = 2**22
"""Weights of more numbers are compared on "meta" first; below, it costs more time than the fresh weights that it spares."""


def build_empty(info: BundleInfo) -> nn.Module:
    """The described network without memory: its parameters have shapes and no values (torch's "meta" device).

    Raises:
        UserError: there is no such network, or it cannot be built with these options.
    """
    with torch.device("meta"):
        return _build(info)


def build_for(info: BundleInfo, state: Mapping[str, Tensor]) -> nn.Module:
    """The described network with these weights, compared by name and shape before anything is made of them.

    Raises:
        UserError: there is no such network, it cannot be built with these options, or the weights are another's.
    """
    numbers = sum(v.numel() for v in state.values())
    with _bounded(info, numbers, len(state)):
        try:
            model = build_empty(info) if numbers > _LARGE else _build(info)
        except UserError:  # wrong options, or a constructor that looks at values, which "meta" has not
            model = _build(info)
        own = model.state_dict()
        differ = [k for k in (*own, *state) if k not in own or k not in state or own[k].shape != state[k].shape]
        if differ:
            raise UserError(f"these are not the weights of {info.network} ({_difference(differ[0], own, state)})")
        cast = {k: v.to(own[k].dtype) for k, v in state.items()}
        model.load_state_dict(cast, assign=True)
        if any(t.is_meta for t in (*model.parameters(), *model.buffers())):  # made by the constructor, in no file
            model = _build(info)
            model.load_state_dict(cast)
    return model


def _build(info: BundleInfo) -> nn.Module:
    make, num_classes = builder(info)
    return build_network(info.network, num_classes, info.preprocessing.channels, info.options, make, filled=True)


def build_network(
    name: str,
    num_classes: int,
    in_channels: int,
    options: Mapping[str, Any],
    make: Callable[..., nn.Module] = build,
    filled: bool = False,
) -> nn.Module:
    """A network with fresh weights, by options that somebody wrote into a file.

    Args:
        name, num_classes, in_channels, options: of the network.
        make: what builds its kind.
        filled: its weights come from elsewhere afterwards: none are downloaded, whatever the options say.

    Raises:
        UserError: there is no such network, or it cannot be built with these options.
    """
    options = without_download(options) if filled else options
    try:
        return make(name, num_classes=num_classes, in_channels=in_channels, **options)
    except (UserError, _TooLarge):
        raise
    except Exception as error:  # networks raise whatever they like for options that make no sense
        raise UserError(f"{name} cannot be built with {_short(options)} ({one_line(error)})") from error


def builder(info: BundleInfo) -> tuple[Callable[..., nn.Module], int]:
    """What builds the described network, and of how many classes: of its taxonomy, or of objects."""
    if info.detection is None:
        return build, info.classes.num_classes
    from perpixel.detection import build as build_detector  # who segments does not wait for it

    return build_detector, len(info.detection.classes)


def _difference(name: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    if name not in state:
        return f"{name} is missing"
    if name not in own:
        return f"{name} is not in it"
    return f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"


class _TooLarge(Exception):
    """The network under construction is far larger than the weights at hand."""


@contextmanager
def _bounded(info: BundleInfo, numbers: int, tensors: int) -> Iterator[None]:
    """Stops a constructor that makes far more than the weights hold, before it takes the memory.

    Raises:
        UserError: it was stopped.
    """
    most = {"numbers": 4 * numbers + _SLACK_NUMBERS, "modules": 20 * tensors + _SLACK_MODULES}
    counted = {"numbers": 0, "modules": 0}

    def count(what: str, size: Callable[[Any], int]) -> Callable[[nn.Module, str, Any], None]:
        def hook(_: nn.Module, __: str, made: Any) -> None:
            counted[what] += size(made)
            if counted[what] > most[what]:
                raise _TooLarge

        return hook

    handles = [
        hooks.register_module_parameter_registration_hook(count("numbers", _numel)),
        hooks.register_module_module_registration_hook(count("modules", lambda _: 1)),
    ]
    try:
        yield
    except _TooLarge:
        raise UserError(
            f"these are not the weights of {info.network} with {_short(info.options)}, which is far larger"
        ) from None
    finally:
        for handle in handles:
            handle.remove()


def _numel(parameter: Tensor | None) -> int:
    return 0 if parameter is None or parameter.is_meta else parameter.numel()


def _short(options: Mapping[str, Any]) -> str:
    text = str(dict(options))
    return text if len(text) <= 120 else f"{text[:117]}..."
