"""torchvision's VGG-16, with and without batch norms: an ImageNet classifier that begins the networks made from it.

Its convolutions, and fc6 and fc7 where the network has them at full size, are taken over; the rest stays fresh. Batch norms
go into SegNet's and DeconvNet's own. In a network without, each becomes part of the convolution before it, so that the
trunk still answers as the classifier does. Without batch norms in the weights, SegNet's and DeconvNet's stay fresh.

The weights want RGB, less ImageNet's mean and divided by its deviation, also in networks that their authors fed with BGR.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.models.backbones.vgg import STAGES
from perpixel.models.ports.faults import refuse
from perpixel.models.ports.source import Reading, Source, State, weight
from perpixel.models.segnet import NORM_EPS

EPS = 1e-5
"""Of torchvision's batch norms."""
PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Places:
    """Where a network has VGG's parts: patterns with {level}, {stage} = level - 1, {i} and {number}, counted through."""

    convs: str
    fresh: tuple[str, ...]
    norms: str | None = None
    fc6: str | None = None
    fc7: str | None = None


FCN = Places("stages.{stage}.conv{level}_{i}", ("score_fr.", "skip4.", "skip3.", "upscore."), fc6="fc6", fc7="fc7")
SEGNET = Places("encoder.{stage}.conv{level}_{i}", ("decoder.", "score."), norms="encoder.{stage}.norm{level}_{i}")
DECONVNET = Places(
    "convolutions.{stage}.conv{level}_{i}",
    ("fc6.1.", "fc7.1.", "fc6_deconv.", "deconvolutions.", "score."),
    norms="convolutions.{stage}.norm{level}_{i}",
    fc6="fc6.0",
    fc7="fc7.0",
)
DECOUPLED = Places(
    "classifier.convolutions.{stage}.conv{level}_{i}",
    ("classifier.score.", "norm_pool5.", "norm_back.", "segmentation."),
    fc6="classifier.fc6",
    fc7="classifier.fc7",
)
DILATED = Places(
    "scores.convs.conv{level}_{i}",
    ("scores.final.", "context.", "upsample."),
    fc6="scores.fc6",
    fc7="scores.fc7",
)
PARSENET = Places("backbone.convs.{number}", ("backbone.fc6.", "backbone.fc7.", "context."))
NETWORKS: dict[str, Places] = {
    "bayesian_segnet": SEGNET,
    "deconvnet": DECONVNET,
    "decouplednet": DECOUPLED,
    "dilated_frontend": DILATED,
    "dilation8": DILATED,
    "fcn16s": FCN,
    "fcn32s": FCN,
    "fcn8s": FCN,
    "fcn8s_at_once": FCN,
    "parsenet": PARSENET,
    "segnet": SEGNET,
}


@dataclass(frozen=True)
class Layer:
    """A convolution of VGG-16: its place among its stage's, its channels, its number in `features`, and that of its
    number in `features` of the classifier without batch norms."""

    level: int
    i: int
    channels: int
    index: int
    number: int

    def at(self, pattern: str) -> str:
        return pattern.format(level=self.level, stage=self.level - 1, i=self.i, number=self.number)


def layers(norms: bool) -> Iterator[Layer]:
    """The thirteen convolutions. ReLUs, poolings and batch norms count in torchvision's numbers too.

    >>> [layer.index for layer in layers(norms=False)]
    [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    >>> [layer.index for layer in layers(norms=True)]
    [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    """
    index = number = 0
    for level, (count, multiple) in enumerate(STAGES, start=1):
        for i in range(1, count + 1):
            yield Layer(level, i, 64 * multiple, index, number)
            index, number = index + (3 if norms else 2), number + 2
        index, number = index + 1, number + 1


def read(state: State, network: str | None) -> Reading:
    """Weights of `vgg16`."""
    if any(key.startswith("features.") and key.endswith("running_mean") for key in state):
        raise UserError('these weights have batch norms: their source is "torchvision/vgg16_bn"')
    return reading(state, network, norms=False)


def read_bn(state: State, network: str | None) -> Reading:
    """Weights of `vgg16_bn`."""
    weight(state, "features.1.running_mean", "torchvision's vgg16_bn")
    return reading(state, network, norms=True)


def reading(state: State, network: str | None, norms: bool) -> Reading:
    """What goes where in the network asked for."""
    assert network is not None
    places = NETWORKS[network]
    convs = list(layers(norms))
    modules = {f"features.{layer.index}": layer.at(places.convs) for layer in convs}
    fresh, fold = places.fresh, norms and places.norms is None
    if places.norms is not None and norms:
        modules |= {f"features.{layer.index + 1}": layer.at(places.norms) for layer in convs}
    elif places.norms is not None:
        fresh = (*fresh, *(f"{layer.at(places.norms)}." for layer in convs))
    dense = [name for name in (places.fc6, places.fc7) if name is not None]
    modules |= dict(zip(("classifier.0", "classifier.3"), dense, strict=False))
    return Reading(
        network,
        {},
        None,
        lambda key: renamed_module(key, modules),
        heads=fresh,
        unused=("classifier.6.",) if dense else ("classifier.",),
        reshape=tuple(f"{name}." for name in dense),
        in_channels=int(weight(state, "features.0.weight", "torchvision's VGG-16").shape[1]),
        convert=same_deviation if norms and not fold else None,
        prepare=folded if fold else None,
    )


def renamed_module(key: str, modules: dict[str, str]) -> str:
    """features.0.weight -> stages.0.conv1_1.weight, say; what has no place here -> a key that no network has."""
    module, _, leaf = key.rpartition(".")
    return f"{modules.get(module, '')}.{leaf}"


def same_deviation(key: str, tensor: Tensor) -> Tensor:
    """Variances to which our batch norms, of another epsilon, add up as torchvision's do."""
    return tensor + (EPS - NORM_EPS) if key.endswith(".running_var") else tensor


def folded(state: State) -> State:
    """The state dict in which each convolution has taken in the batch norm behind it, as in eval.

    A norm scales by s = weight / sqrt(running_var + eps) and shifts: s (Wx + b - running_mean) + bias.

    Raises:
        UserError: parts of a convolution or of its norm are missing or of another length.
    """
    convs = list(layers(norms=True))
    needed = {f"features.{layer.index}.{leaf}": layer.channels for layer in convs for leaf in PARTS[:2]}
    needed |= {f"features.{layer.index + 1}.{leaf}": layer.channels for layer in convs for leaf in PARTS}
    wrong = [
        f"{key} {tuple(state[key].shape)}, expected {length} rows"
        for key, length in needed.items()
        if key in state and state[key].shape[:1] != (length,)
    ]
    refuse("a vgg16_bn from there", [key for key in needed if key not in state], [], wrong)
    joined = dict(state)
    for layer in convs:
        conv, norm = f"features.{layer.index}", f"features.{layer.index + 1}"
        scale, shift, mean, variance = (joined.pop(f"{norm}.{leaf}").double() for leaf in PARTS)
        joined.pop(f"{norm}.num_batches_tracked", None)
        factor = scale / torch.sqrt(variance + EPS)
        weights, bias = joined[f"{conv}.weight"], joined[f"{conv}.bias"]
        joined[f"{conv}.weight"] = (weights.double() * factor.reshape(-1, *[1] * (weights.dim() - 1))).to(weights.dtype)
        joined[f"{conv}.bias"] = ((bias.double() - mean) * factor + shift).to(bias.dtype)
    return joined


SOURCE = Source(
    about="VGG-16 trained on ImageNet, for the networks that begin with it",
    read=read,
    networks=tuple(NETWORKS),
)
SOURCE_BN = Source(
    about="VGG-16 with batch norms, trained on ImageNet, for the networks that begin with it",
    read=read_bn,
    networks=tuple(NETWORKS),
)
