"""Every network by name."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from perpixel.core.errors import UserError, nearest
from perpixel.models.fast_scnn import FastSCNN
from perpixel.models.fpn import FPN
from perpixel.models.unet import UNet

MODELS: dict[str, Callable[..., nn.Module]] = {
    "fast_scnn": FastSCNN,
    "fpn": FPN,
    "unet": UNet,
}
"""Name -> what builds it, called with `(num_classes, in_channels=3, **options)`."""


def build(name: str, num_classes: int, in_channels: int = 3, **options: Any) -> nn.Module:
    """The network `name`, with fresh weights, for `num_classes` classes and images of `in_channels` channels.

    `options` are the network's own constructor arguments; `model_options(name)` lists them with their defaults.

    Raises `UserError` for an unknown name or option, with the nearest right one, and for a count below 1.

    >>> type(build("fast_scnn", num_classes=11, aux=True)).__name__
    'FastSCNN'
    """
    known = model_options(name)
    for option in options:
        if option not in known:
            hint = nearest(option, known) or f" Its options are {', '.join(known)}."
            raise UserError(f'{name} has no option "{option}".{hint}')
    for what, count in (("num_classes", num_classes), ("in_channels", in_channels)):
        if count < 1:
            raise UserError(f"{what} must be 1 or more; got {count}")
    return MODELS[name](num_classes=num_classes, in_channels=in_channels, **options)


def model_options(name: str) -> dict[str, Any]:
    """The options of the network `name` with their defaults, beside `num_classes` and `in_channels`.

    Raises `UserError` for an unknown name, with the nearest right one.

    >>> model_options("fast_scnn")["aux"]
    False
    """
    if name not in MODELS:
        hint = nearest(name, MODELS) or f" Known: {', '.join(sorted(MODELS))}."
        raise UserError(f'There is no model "{name}".{hint}')
    parameters = inspect.signature(MODELS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("num_classes", "in_channels")}
