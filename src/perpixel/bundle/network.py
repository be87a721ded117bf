"""The network that a bundle describes, without its weights, and without a download."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from perpixel.bundle.info import BundleInfo, one_line
from perpixel.core.errors import UserError
from perpixel.models import build


def build_empty(info: BundleInfo) -> nn.Module:
    """The described network with fresh weights.

    Raises:
        UserError: there is no such network, or it cannot be built with these options.
    """
    try:
        return build(
            info.network,
            num_classes=info.classes.num_classes,
            in_channels=info.preprocessing.channels,
            **without_download(info.options),
        )
    except Exception as error:  # networks raise whatever they like for options that make no sense
        raise UserError(f"the network cannot be built with {info.options} ({one_line(error)})") from error


def without_download(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a network whose weights come from elsewhere: `pretrained` must not fetch what is replaced at once."""
    inner = {k: without_download(v) if isinstance(v, Mapping) else v for k, v in options.items()}  # network_options
    return {**inner, "pretrained": False} if "pretrained" in options else inner
