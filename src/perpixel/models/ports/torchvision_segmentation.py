"""torchvision.models.segmentation: FCN and DeepLabv3 on ResNet-50 and ResNet-101, with or without auxiliary head."""

from perpixel.core.errors import UserError
from perpixel.models.backbones.dilated_resnet import BLOCKS
from perpixel.models.ports.source import RESIDUAL, Reading, Source, State, count, has, renamed, weight

WHAT = "torchvision's segmentation networks on a ResNet"
TRUNK = (
    (r"^backbone\.conv1\.", "backbone.stem.0.conv."),
    (r"^backbone\.bn1\.", "backbone.stem.0.norm."),
    *RESIDUAL,
    *((rf"^backbone\.layer{i}\.", f"backbone.stages.{i - 1}.") for i in range(1, 5)),
    (r"^aux_classifier\.0\.", "auxiliary.0.conv."),
    (r"^aux_classifier\.1\.", "auxiliary.0.norm."),
    (r"^aux_classifier\.4\.", "auxiliary.2."),
)
FCN = (
    (r"^classifier\.0\.", "head.0.conv."),
    (r"^classifier\.1\.", "head.0.norm."),
    (r"^classifier\.4\.", "head.2."),
)
ASPP = (
    (r"^classifier\.0\.convs\.0\.0\.", "aspp.point.conv."),
    (r"^classifier\.0\.convs\.0\.1\.", "aspp.point.norm."),
    *((rf"^classifier\.0\.convs\.{i}\.0\.", f"aspp.atrous.{i - 1}.conv.") for i in range(1, 4)),
    *((rf"^classifier\.0\.convs\.{i}\.1\.", f"aspp.atrous.{i - 1}.norm.") for i in range(1, 4)),
    (r"^classifier\.0\.convs\.4\.1\.", "aspp.image_pooling.conv."),
    (r"^classifier\.0\.convs\.4\.2\.", "aspp.image_pooling.norm."),
    (r"^classifier\.0\.project\.0\.", "aspp.project.conv."),
    (r"^classifier\.0\.project\.1\.", "aspp.project.norm."),
    (r"^classifier\.1\.", "mix.conv."),
    (r"^classifier\.2\.", "mix.norm."),
    (r"^classifier\.4\.", "score."),
)


def read(state: State, network: str | None) -> Reading:
    """FCN or DeepLabv3, of the depth, the classes and the heads that it has."""
    stem, scores = weight(state, "backbone.conv1.weight", WHAT), weight(state, "classifier.4.weight", WHAT)
    pyramid = has(state, "classifier.0.convs.")
    rules = (*TRUNK, *(ASPP if pyramid else FCN))
    return Reading(
        "deeplabv3" if pyramid else "fcn_resnet",
        {"depth": depth_of(state), "aux": has(state, "aux_classifier.")},
        int(scores.shape[0]),
        lambda key: renamed(key, rules),
        heads=("score." if pyramid else "head.2.", "auxiliary.2."),
        in_channels=int(stem.shape[1]),
    )


def depth_of(state: State) -> int:
    """50 or 101, by the blocks of the four stages."""
    blocks = tuple(count(state, f"backbone.layer{i}.#.") for i in range(1, 5))
    for depth in (50, 101):
        if BLOCKS[depth] == blocks:
            return depth
    raise UserError(f"{WHAT} have {BLOCKS[50]} or {BLOCKS[101]} blocks in their stages; these weights have {blocks}")


SOURCE = Source(
    about="FCN and DeepLabv3 on ResNet-50 and ResNet-101: COCO models with the classes of VOC",
    read=read,
    classes={21: "voc"},
)
