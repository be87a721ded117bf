"""Weights to start from: those of another run or bundle, as far as they fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from perpixel.bundle import find_bundle, read_bundle, read_info
from perpixel.core.errors import UserError
from perpixel.core.words import some_names
from perpixel.data.fingerprint import changed_classes
from perpixel.data.statistics import ImageStatistics
from perpixel.labels import Taxonomy
from perpixel.models.backbones.timm_encoder import TimmEncoder
from perpixel.models.backbones.timm_weights import pixels_of

NAMED = 4
"""How many tensors a line lists before it only counts them."""


def start_from(model: nn.Module, source: str | Path, classes: Taxonomy | None = None) -> str:
    """Gives `model` every tensor of a run's or bundle's network that it has under the same name in the same shape.

    So the second stage of a training starts where the first ended, and a network for other classes keeps all but its
    last layer. The rest of `model` stays as it is.

    Args:
        model: the network to fill, in place.
        source: a run folder (its best bundle is taken), a bundle folder, or the name of a bundled model.
        classes: what `model` is for.

    Returns:
        A line that says what was taken, what was not, and what stays fresh; also that as many classes were others, or in another
        order: what was learned of each then stands for another one.

    Raises:
        UserError: there is no bundle, its weights are damaged, or none of them fits.
    """
    folder = find_bundle(source)
    info, given = read_bundle(folder)
    own = model.state_dict()
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    if not any(name in fitting for name, _ in model.named_parameters()):
        raise UserError(
            f"{folder}: no weight of its {info.network} has the name and shape of one of this network's; "
            "start from a run of the same network, or without one"
        )
    model.load_state_dict(fitting, strict=False)
    left, fresh = [k for k in given if k not in fitting], [k for k in own if k not in fitting]
    taken = f"init      {folder}: {len(fitting)} of its {len(given)} tensors{_listed('not taken', left)}"
    return taken + _listed("fresh here", fresh) + _other_classes(info.classes, classes)


def expected_pixels(
    source: str | None, network: str, found: ImageStatistics, options: Mapping[str, Any] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """Mean, standard deviation and whether blue comes first: as the weights of `start_from` expect them of an image.

    With a source of another network, of other channels, or of floats where these are whole numbers or the other way round, those
    that were `found` in the images. Without a source, those of the pretrained weights that the network's `options` ask for,
    where images have three bands of 8 bit; else those `found`.
    """
    if source:
        info = read_info(find_bundle(source))
        takes = info.preprocessing
        if info.network == network and takes.channels == found.channels and _alike(takes.dtype, found.dtype):
            return takes.mean, takes.std, takes.bgr
        return found.mean, found.std, False
    asked = options or {}
    weights = pixels_of(asked["encoder"], asked["pretrained"]) if asked.keys() >= {"encoder", "pretrained"} else None
    if weights and found.channels == 3 and found.dtype in ("", "uint8"):
        return *weights, False
    return found.mean, found.std, False


def weights_lines(model: nn.Module) -> list[str]:
    """For each pretrained encoder in a network, a line that says where its weights are from, and their licence."""
    return [f"weights   {part.origin}" for part in model.modules() if isinstance(part, TimmEncoder) and part.origin]


def _other_classes(old: Taxonomy, new: Taxonomy | None) -> str:
    if new is None or old.num_classes != new.num_classes or old.names == new.names:
        return ""
    return f"; {changed_classes(old, new)}: what it knew of each class is taken for the one in its place"


def _alike(a: str | None, b: str) -> bool:
    """Whether numbers of two types mean the same once the whole ones are shares of their full scale."""
    return a is None or (a == "float32") == (b == "float32")


def _listed(what: str, names: Sequence[str]) -> str:
    return f"; {what}: {some_names(names, NAMED)}" if names else ""
