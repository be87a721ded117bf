"""fyu/drn: the authors' dilated residual networks, classifiers and segmentation networks.

Their segmentation network holds the classifier's parts in a list, so that its keys have numbers in place of names.
"""

import re

from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.backbones.drn import ARCHITECTURES, DRNClassifier
from perpixel.models.ports.source import IMAGENET, RESIDUAL, Pixels, Reading, Source, State, count, has, renamed, weight

WHAT = "fyu/drn"
LISTED = {
    "a": ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
    "c": ("conv1", "bn1", "relu", *(f"layer{i}" for i in range(1, 9))),
    "d": tuple(f"layer{i}" for i in range(9)),
}
"""What `base.0`, `base.1` and so on are in their segmentation networks."""
FIRST = {
    "a": ("base.0.weight", "conv1.weight"),
    "c": ("base.0.weight", "conv1.weight"),
    "d": ("base.0.0.weight", "layer0.0.weight"),
}
"""The first convolution of a segmentation network, and of a classifier."""


def read(state: State, network: str | None) -> Reading:
    """Which of the networks it is, from its keys and how many blocks they have."""
    segments = has(state, "base.")
    kind = kind_of(state, segments)
    first = weight(state, FIRST[kind][0 if segments else 1], WHAT)
    named = {name_in_classifier(key, kind) if segments else key: tensor for key, tensor in state.items()}
    name = architecture(named, kind)
    head = weight(state, "seg.weight", WHAT) if segments else state.get("fc.weight")
    classes = None if head is None else int(head.shape[0])

    def classifier(num_classes: int, in_channels: int) -> nn.Module:
        return DRNClassifier(name, num_classes, in_channels)

    def rename(key: str) -> str:
        if segments and not key.startswith("base."):
            return renamed(key, ((r"^seg\.", "score."), (r"^up\.", "upsample.conv.")))
        inner = name_in_classifier(key, kind) if segments else key
        return inner if inner.startswith("fc.") else f"trunk.{trunk_key(inner, name)}"

    return Reading(
        name,
        {},
        classes,
        rename,
        heads=("score.", "upsample.") if segments else ("fc.", "score.", "upsample."),
        reshape=("fc.",),
        build=None if segments else classifier,
        in_channels=int(first.shape[1]),
        single=("up.weight",),
        pixels=None if segments else IMAGENET,
    )


def kind_of(state: State, segments: bool) -> str:
    """a, c or d, by what stands at the beginning."""
    if count(state, "base.0.#.") or has(state, "layer0."):
        return "d"
    return "c" if has(state, "base.3." if segments else "layer8.") else "a"


def name_in_classifier(key: str, kind: str) -> str:
    """base.4.0.conv1.weight -> layer1.0.conv1.weight, and so on."""
    match = re.match(r"base\.(\d+)\.(.*)", key)
    if match is None or int(match.group(1)) >= len(LISTED[kind]):
        return key
    return f"{LISTED[kind][int(match.group(1))]}.{match.group(2)}"


def architecture(state: State, kind: str) -> str:
    """The name in `ARCHITECTURES` whose counts of blocks these are."""
    bottleneck = has(state, "layer3.0.conv3.", "layer3.0.bn3.")
    levels = 4 if kind == "a" else 8
    counts = tuple(count(state, f"layer{i}.#.") for i in range(1, levels + 1))
    if kind == "d":  # three modules a convolution, of which the ReLU has no weights
        counts = tuple((n + 1) // 2 if i in (0, 1, 6, 7) else n for i, n in enumerate(counts))
    for name, found in ARCHITECTURES.items():
        if (found.kind, found.block == "bottleneck", found.counts) == (kind, bottleneck, counts):
            return name
    raise UserError(f"this is no network of {WHAT}: levels of {counts} blocks are none of its networks'")


def trunk_key(key: str, name: str) -> str:
    """A key of their classifier -> one of our trunk."""
    kind = ARCHITECTURES[name].kind
    if kind == "d":
        key = re.sub(r"^layer0\.0\.", "stem.conv.", key)
        key = re.sub(r"^layer0\.1\.", "stem.norm.", key)
        key = re.sub(r"^(layer[1278])\.(\d+)\.", plain_convolution, key)
    else:
        stem = "stem.0" if kind == "a" else "stem"
        key = re.sub(r"^conv1\.", f"{stem}.conv.", key)
        key = re.sub(r"^bn1\.", f"{stem}.norm.", key)
    if name == "drn_c_58":  # the shortcut that is built and never used
        key = re.sub(r"^layer7\.0\.downsample\.0", "unused.conv", key)
        key = re.sub(r"^layer7\.0\.downsample\.1", "unused.norm", key)
    key = renamed(key, RESIDUAL)
    return re.sub(r"^layer(\d)", lambda m: f"levels.{int(m.group(1)) - 1}", key)


def plain_convolution(match: "re.Match[str]") -> str:
    """layer7.3. -> layer7.1.conv.: convolution, norm and ReLU lie in one list there, three numbers for each."""
    index, part = divmod(int(match.group(2)), 3)
    return f"{match.group(1)}.{index}.{('conv', 'norm')[part]}."


SOURCE = Source(
    about="dilated residual networks A-50, C and D: ImageNet classifiers and Cityscapes models",
    read=read,
    pixels=Pixels((0.29010095, 0.32808144, 0.28696394), (0.18295405, 0.18656561, 0.18447509)),
    classes={19: "cityscapes"},
)
