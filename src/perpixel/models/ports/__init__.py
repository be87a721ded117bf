"""Public weights: a state dict of somebody else's code becomes a network of ours, whose numbers are the same.

    model = perpixel.port("fyu/drn", safetensors.torch.load_file("drn_d_22_cityscapes.safetensors"))

`SOURCES` is one literal dict. A source is a file here with a `Source`, a line in it, and a test with the logits that the
source's own code gave for weights that both sides can make (tests/models/ports).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from perpixel.core.errors import UserError, nearest
from perpixel.models.catalog import build, current_name, without_download
from perpixel.models.ports import (
    drn,
    encnet,
    erfnet,
    fast_scnn,
    hrnet,
    pytorch_fcn,
    resnet,
    segformer,
    semseg,
    torchvision_segmentation,
    vainf,
    vgg,
)
from perpixel.models.ports.source import Pixels, Reading, Source, State, has, translate, unwrap

SOURCES: dict[str, Source] = {
    "Eromera/erfnet_pytorch": erfnet.SOURCE,
    "fyu/drn": drn.SOURCE,
    "HRNet/HRNet-Semantic-Segmentation": hrnet.SOURCE,
    "hszhao/semseg": semseg.SOURCE,
    "huggingface/segformer": segformer.SOURCE,
    "mseg-dataset/mseg-semantic": hrnet.MSEG_SOURCE,
    "timm/resnet": resnet.SOURCE_TIMM,
    "torchvision/resnet": resnet.SOURCE_TORCHVISION,
    "torchvision/segmentation": torchvision_segmentation.SOURCE,
    "torchvision/vgg16": vgg.SOURCE,
    "torchvision/vgg16_bn": vgg.SOURCE_BN,
    "Tramac/Fast-SCNN-pytorch": fast_scnn.SOURCE,
    "VainF/DeepLabV3Plus-Pytorch": vainf.SOURCE,
    "wkentaro/pytorch-fcn": pytorch_fcn.SOURCE,
    "zhanghang1989/PyTorch-Encoding": encnet.SOURCE,
}
"""Name -> source."""


def of_torchvision(state: State) -> str:
    """Which of torchvision's sources a state dict is from, by the beginnings of its keys."""
    if has(state, "backbone."):
        return "torchvision/segmentation"
    if has(state, "features."):
        return "torchvision/vgg16_bn" if any(key.endswith(".running_mean") for key in state) else "torchvision/vgg16"
    return "torchvision/resnet"


FAMILIES: dict[str, Callable[[State], str]] = {
    "huggingface": lambda _: "huggingface/segformer",
    "timm": lambda _: "timm/resnet",
    "torchvision": of_torchvision,
}
"""Names short of which network it is: what they are short for, by the weights."""


@dataclass(frozen=True)
class Ported:
    """A network with a source's weights, in eval mode, and what a bundle says of it.

    `void` is which of its classes stands for what is not labelled; `without`, which class of the weights that was, and is
    left out.
    """

    model: nn.Module
    reading: Reading
    num_classes: int
    options: dict[str, Any]
    source: Source
    fresh_head: bool
    void: int | None = None
    without: int | None = None

    @property
    def pixels(self) -> Pixels:
        """What the weights were trained on, a mean and a std for each channel."""
        return (self.reading.pixels or self.source.pixels).for_channels(self.reading.in_channels)

    @property
    def notes(self) -> list[str]:
        """What a user should know of it, a line each."""
        channels = self.reading.in_channels
        said = {
            "its segmentation head is fresh and knows nothing yet: train it before it predicts": self.fresh_head,
            f"class {self.without} of the weights, which stands for what is not labelled, is left out": (
                self.without is not None
            ),
            f"the source says mean and std of 3 channels: each of these {channels} gets their average; "
            "if the weights were trained otherwise, say it in model.json": channels != 3,
        }
        return [line for line, true in said.items() if true]


def port(
    source: str,
    state_dict: Mapping[str, Any],
    num_classes: int | None = None,
    network: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The network of ours that has the weights of a checkpoint made elsewhere, in eval mode.

    Args:
        source: a key of `SOURCES`, such as "fyu/drn", or of `FAMILIES`: "torchvision" is whichever of its networks fits.
        state_dict: names to tensors, also inside "state_dict" or behind "module.".
        num_classes: how many the network is to have; None for the checkpoint's own number. With another number, and for
            weights of a classifier, the segmentation heads stay fresh and everything else is taken over; but one less than
            the checkpoint's is without the class for what is not labelled, where the source has such a class (`Source.void`).
        network: which network of ours, for weights that fit several, such as a VGG-16's.
        options: more options of the network; what the weights decide is decided by them.

    Returns:
        A module as `perpixel.build` makes it. `fyu/drn` without `num_classes` gives a classifier for a classifier's weights.

    Raises:
        UserError: an unknown source or network; keys are missing, left over or of another shape, and are listed.
    """
    return read_port(source, state_dict, num_classes, network, options).model


def read_port(
    source: str,
    state_dict: Mapping[str, Any],
    num_classes: int | None = None,
    network: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Ported:
    """`port`, and what it found out."""
    state, origin, reading = recognised(source, state_dict, None if network is None else current_name(network))
    classes = num_classes or reading.num_classes
    if classes is None:
        raise UserError(f"these weights of {source} have no segmentation head; say num_classes for a fresh one")
    void = origin.void.get(reading.num_classes or 0)
    without = void if reading.num_classes == classes + 1 else None
    keep_heads = num_classes is None or without is not None or (classes == reading.num_classes and not reading.build)
    chosen = without_download({**reading.options, **(options or {})})
    if reading.build is not None and num_classes is None:
        model = reading.build(classes, reading.in_channels)
    else:
        model = build(reading.network, classes, reading.in_channels, **chosen)
    model.load_state_dict(translate(state, reading, model, keep_heads, without))
    kept_void = void if classes == reading.num_classes else None
    return Ported(model.eval(), reading, classes, chosen, origin, not keep_heads, kept_void, without)


def recognised(
    source: str, state_dict: Mapping[str, Any], network: str | None
) -> tuple[dict[str, Tensor], Source, Reading]:
    """The tensors of a checkpoint, the source by its name or by that of its family, and what it says of them."""
    if source not in SOURCES and source not in FAMILIES:
        hint = nearest(source, [*SOURCES, *FAMILIES]) or f" Known: {', '.join([*SOURCES, *FAMILIES])}."
        raise UserError(f'There is no source "{source}".{hint}')
    state = unwrap(state_dict)
    name = FAMILIES[source](state) if source in FAMILIES else source
    origin = SOURCES[name]
    if network is not None and network not in origin.networks:
        known = ", ".join(origin.networks) or "none, since the weights decide"
        raise UserError(f'{name} has no weights for "{network}"; networks that can be asked for: {known}')
    if network is None and origin.networks and not origin.decides:
        raise UserError(f"weights of {name} fit several networks; say which: {', '.join(origin.networks)}")
    return state, origin, origin.read(state, network)
