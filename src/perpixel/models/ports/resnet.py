"""ImageNet's ResNets of torchvision and timm, for the trunks of networks here whose shapes are theirs.

Both name their parts alike. A trunk begins with ResNet's 7x7 convolution, or with three 3x3 of 64, 64 and 128 channels, as
timm's resnet50s, resnet101s and resnet152s do. The dilations belong to the network, not to its weights: strides of the
classifier become dilations in each network's own way. ResNets whose shortcuts pool (timm's resnet50d and its like) have
no trunk here, but in `drn_timm` with `encoder="resnet50d"`, which takes timm's weights by `pretrained`.
"""

from dataclasses import dataclass
from functools import partial

from perpixel.core.errors import UserError
from perpixel.models.backbones.dilated_resnet import BLOCKS
from perpixel.models.backbones.drn import ARCHITECTURES
from perpixel.models.deformable_deeplab import DEFORMABLE
from perpixel.models.ports.source import RESIDUAL, Reading, Source, State, count, has, renamed, weight

Counts = tuple[int, ...]
BASIC: dict[int, Counts] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Depth -> the blocks of the stages of a ResNet of two 3x3 convolutions a block; `BLOCKS` has the others."""


@dataclass(frozen=True)
class Trunk:
    """A network with a ResNet in it: the beginning of its keys, what its stages are called, and what stays fresh.

    `deep` is whether it begins with three 3x3 convolutions; `drn` the name in `ARCHITECTURES` where that says its depth.
    """

    fresh: tuple[str, ...]
    deep: bool = False
    prefix: str = "backbone."
    stages: str = "stages"
    drn: str | None = None


AUX = "auxiliary."
TRUNKS: dict[str, Trunk] = {
    "deeplabv3": Trunk(("aspp.", "mix.", "score.", AUX)),
    "deformable_deeplab": Trunk(("fc6.", "score.", "upsample.", *(f"{conv}.offset." for conv in DEFORMABLE))),
    **{
        name: Trunk(("score.", "upsample."), prefix="trunk.", stages="levels", drn=name)
        for name in ("drn_a_18", "drn_a_34", "drn_a_50")
    },
    "encnet": Trunk(("reduce.", "lateral.", "context.", "score.", "presence.", AUX), deep=True),
    "fcn_resnet": Trunk(("head.", AUX)),
    "pspnet": Trunk(("pyramid_pooling.", "head.", AUX), deep=True),
}
PLAIN_STEM = ((r"^conv1\.", "stem.0.conv."), (r"^bn1\.", "stem.0.norm."))
DEEP_STEM = (
    *((rf"^conv1\.{3 * i}\.", f"stem.{i}.conv.") for i in range(3)),
    *((rf"^conv1\.{3 * i + 1}\.", f"stem.{i}.norm.") for i in range(2)),
    (r"^bn1\.", "stem.2.norm."),
)


def read(state: State, network: str | None, what: str) -> Reading:
    """Where a ResNet's weights go in the network asked for."""
    assert network is not None
    trunk = TRUNKS[network]
    deep = bool(count(state, "conv1.#."))
    first = weight(state, "conv1.0.weight" if deep else "conv1.weight", what)
    check_shortcuts(state, what)
    check_stem(network, trunk, deep, what)
    rules = (
        *(DEEP_STEM if deep else PLAIN_STEM),
        *RESIDUAL,
        *((rf"^layer{i}\.", f"{trunk.stages}.{i - 1}.") for i in range(1, 5)),
    )
    depth = depth_of(state, network, trunk, what)
    return Reading(
        network,
        {} if trunk.drn else {"depth": depth},
        None,
        lambda key: trunk.prefix + renamed(key, rules),
        heads=trunk.fresh,
        unused=("fc.",),
        in_channels=int(first.shape[1]),
    )


def check_shortcuts(state: State, what: str) -> None:
    """Raise `UserError` where shortcuts pool: their convolution is then the second of three parts."""
    if any(".downsample.2." in key for key in state):
        raise UserError(
            f"this ResNet of {what} pools in its shortcuts (resnet50d and its like), as none of these networks does; "
            'perpixel.build("drn_timm", K, encoder="resnet50d", pretrained=True) has it'
        )


def check_stem(network: str, trunk: Trunk, deep: bool, what: str) -> None:
    """Raise `UserError` where network and weights begin otherwise."""
    kinds = {True: "three 3x3 convolutions (timm's resnet50s)", False: "one 7x7 convolution (resnet50)"}
    if deep != trunk.deep:
        raise UserError(f"{network} begins with {kinds[trunk.deep]}, these weights of {what} with {kinds[deep]}")


def depth_of(state: State, network: str, trunk: Trunk, what: str) -> int:
    """The depth of the ResNet; raises `UserError` where the network has another, or none such is known."""
    bottleneck = has(state, "layer1.0.conv3.", "layer1.0.bn3.")
    found = tuple(count(state, f"layer{i}.#.") for i in range(1, 5))
    depths = {counts: depth for depth, counts in (BLOCKS if bottleneck else BASIC).items()}
    if found not in depths:
        kind = "bottlenecks" if bottleneck else "basic blocks"
        raise UserError(f"this is no ResNet of {what} that is known: its stages have {found} {kind}")
    depth = depths[found]
    wanted = ARCHITECTURES[trunk.drn] if trunk.drn else None
    fits = bottleneck if wanted is None else (wanted.block == "bottleneck") == bottleneck and wanted.counts == found
    if not fits:
        takes = f"a ResNet-{trunk.drn.rpartition('_')[2]}" if trunk.drn else "a ResNet-50, 101 or 152"
        raise UserError(f"{network} takes {takes}; these weights of {what} are a ResNet-{depth}'s")
    return depth


SOURCE_TORCHVISION = Source(
    about="ResNets trained on ImageNet, for trunks that begin with a 7x7 convolution",
    read=partial(read, what="torchvision"),
    networks=tuple(name for name, trunk in TRUNKS.items() if not trunk.deep),
)
SOURCE_TIMM = Source(
    about="ResNets trained on ImageNet, for trunks of either beginning (pspnet and encnet take resnet50s, 101s, 152s)",
    read=partial(read, what="timm"),
    networks=tuple(TRUNKS),
)
