"""Every detector by name."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from perpixel.core.errors import UserError, nearest
from perpixel.detection.deformable_rfcn import DeformableRFCN
from perpixel.detection.fast_rcnn import FastRCNN
from perpixel.detection.fpn_detector import FPNDetector
from perpixel.detection.rfcn import RFCN

DETECTORS: dict[str, Callable[..., nn.Module]] = {
    "deformable_rfcn": DeformableRFCN,
    "fast_rcnn_vgg16": FastRCNN,
    "fpn_detector": FPNDetector,
    "rfcn": RFCN,
}
"""Name -> what builds it, called with `(num_classes, in_channels=3, **options)`."""


def build(name: str, num_classes: int, in_channels: int = 3, **options: Any) -> nn.Module:
    """The detector `name`, with fresh weights, for objects of `num_classes` classes in images of `in_channels`
    channels.

    The background is no class of yours: the network adds it. `options` are the detector's own constructor arguments;
    `detector_options(name)` lists them with their defaults.

    Raises `UserError` for an unknown name or option, with the nearest right one, and for a count below 1.

    >>> type(build("rfcn", num_classes=2, encoder="resnet18")).__name__
    'RFCN'
    """
    known = detector_options(name)
    for option in options:
        if option not in known:
            hint = nearest(option, known) or f" Its options are {', '.join(known)}."
            raise UserError(f'{name} has no option "{option}".{hint}')
    for what, count in (("num_classes", num_classes), ("in_channels", in_channels)):
        if count < 1:
            raise UserError(f"{what} must be 1 or more; got {count}")
    return DETECTORS[name](num_classes=num_classes, in_channels=in_channels, **options)


def detector_options(name: str) -> dict[str, Any]:
    """The options of the detector `name` with their defaults, beside `num_classes` and `in_channels`.

    Raises `UserError` for an unknown name, with the nearest right one.

    >>> detector_options("rfcn")["encoder"]
    'resnet101'
    """
    if name not in DETECTORS:
        hint = nearest(name, DETECTORS) or f" Known: {', '.join(sorted(DETECTORS))}."
        raise UserError(f'There is no detector "{name}".{hint}')
    parameters = inspect.signature(DETECTORS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("num_classes", "in_channels")}
