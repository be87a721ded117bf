"""hszhao/semseg: PSPNet by its authors, in PyTorch. Their other network, PSANet, is not one of ours."""

from collections.abc import Mapping

from perpixel.core.errors import UserError
from perpixel.models.backbones.dilated_resnet import BLOCKS
from perpixel.models.ports.source import RESIDUAL, Reading, Source, State, count, has, renamed, weight

WHAT = "hszhao/semseg"
RULES = (
    *((rf"^layer0\.{3 * i}\.", f"backbone.stem.{i}.conv.") for i in range(3)),
    *((rf"^layer0\.{3 * i + 1}\.", f"backbone.stem.{i}.norm.") for i in range(3)),
    *RESIDUAL,
    *((rf"^layer{i}\.", f"backbone.stages.{i - 1}.") for i in range(1, 5)),
    (r"^ppm\.features\.(\d+)\.1\.", r"pyramid_pooling.branches.\1.conv."),
    (r"^ppm\.features\.(\d+)\.2\.", r"pyramid_pooling.branches.\1.norm."),
    (r"^(cls|aux)\.0\.", r"\1.0.conv."),
    (r"^(cls|aux)\.1\.", r"\1.0.norm."),
    (r"^(cls|aux)\.4\.", r"\1.2."),
    (r"^cls\.", "head."),
    (r"^aux\.", "auxiliary."),
)


def read(state: State, network: str | None) -> Reading:
    """A PSPNet of the depth and the classes that it has."""
    if has(state, "psa."):
        raise UserError(f"these are the weights of {WHAT}'s PSANet, a network that is not here; PSPNet's can be taken")
    scores = weight(state, "cls.4.weight", WHAT)
    if not has(state, "ppm."):
        raise UserError(f"this is no PSPNet of {WHAT}: it has no pyramid pooling (ppm)")
    depth = depth_of(tuple(count(state, f"layer{i}.#.") for i in range(1, 5)), WHAT)
    return Reading(
        "pspnet",
        {"depth": depth, "aux": has(state, "aux.")},
        int(scores.shape[0]),
        lambda key: renamed(key, RULES),
        heads=("head.2.", "auxiliary.2."),
        in_channels=int(weight(state, "layer0.0.weight", WHAT).shape[1]),
    )


def depth_of(counts: tuple[int, ...], what: str, blocks: Mapping[int, tuple[int, ...]] = BLOCKS) -> int:
    """The depth of a ResNet by the blocks of its four stages; raises `UserError` where no depth has these."""
    for depth, expected in blocks.items():
        if counts == expected:
            return depth
    known = ", ".join(f"{depth}: {expected}" for depth, expected in blocks.items())
    raise UserError(f"no ResNet of {what}: stages of {counts} blocks; known are {known}")


SOURCE = Source(
    about="PSPNet-50 and PSPNet-101 by its authors: Cityscapes, VOC and ADE20K models",
    read=read,
    classes={19: "cityscapes", 21: "voc", 150: "ade20k"},
)
