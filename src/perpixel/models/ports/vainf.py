"""VainF/DeepLabV3Plus-Pytorch: DeepLabv3 and DeepLabv3+ on ResNet-50 and ResNet-101.

The output stride cannot be seen in the weights: it is 16, the default of their training, unless `options` say 8.
"""

from typing import Any

import torch
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.models.ports.semseg import depth_of
from perpixel.models.ports.source import RESIDUAL, Reading, Rule, Source, State, count, has, renamed, weight

WHAT = "VainF/DeepLabV3Plus-Pytorch"
PLUS: dict[str, Any] = {"separable": False, "decoder_convs": 1, "output_stride": 16}
SLIM = 48
"""Channels of the low-level features, which stand before the others in their decoder, and behind them in ours."""
TRUNK: tuple[Rule, ...] = (
    (r"^backbone\.conv1\.", "backbone.stem.0.conv."),
    (r"^backbone\.bn1\.", "backbone.stem.0.norm."),
    *RESIDUAL,
    (r"^backbone\.layer([1-4])\.", lambda m: f"backbone.stages.{int(m.group(1)) - 1}."),
)
PYRAMID: tuple[Rule, ...] = (
    (r"^aspp\.convs\.0\.", "aspp.point."),
    (r"^aspp\.convs\.([123])\.", lambda m: f"aspp.atrous.{int(m.group(1)) - 1}."),
    (r"^aspp\.convs\.4\.1\.", "aspp.image_pooling.conv."),
    (r"^aspp\.convs\.4\.2\.", "aspp.image_pooling.norm."),
    (r"^(aspp\.\w+(?:\.\d)?|low_level|decoder\.0)\.0\.(?=[a-z_]+$)", r"\1.conv."),
    (r"^(aspp\.\w+(?:\.\d)?|low_level|decoder\.0)\.1\.(?=[a-z_]+$)", r"\1.norm."),
)
PLUS_RULES: tuple[Rule, ...] = (
    *TRUNK,
    (r"^backbone\.", "encoder.trunk."),
    (r"^classifier\.aspp\.", "aspp."),
    (r"^classifier\.project\.", "low_level."),
    (r"^classifier\.classifier\.([01])\.", r"decoder.0.\1."),
    (r"^classifier\.classifier\.3\.", "score."),
    *PYRAMID,
)
V3_RULES: tuple[Rule, ...] = (
    *TRUNK,
    (r"^classifier\.classifier\.0\.", "aspp."),
    (r"^classifier\.classifier\.1\.", "mix.conv."),
    (r"^classifier\.classifier\.2\.", "mix.norm."),
    (r"^classifier\.classifier\.4\.", "score."),
    *PYRAMID,
)


def read(state: State, network: str | None) -> Reading:
    """DeepLabv3+ or DeepLabv3, of the depth and the classes that it has."""
    plus = has(state, "classifier.aspp.")
    score = weight(state, f"classifier.classifier.{3 if plus else 4}.weight", WHAT)
    if not has(state, "backbone.layer1.0.conv3.", "backbone.layer1.0.bn3."):
        raise UserError(
            f"these weights of {WHAT} have another backbone than those that can be taken: resnet50, resnet101"
        )
    if any(".body." in key for key in state):
        raise UserError(f"these weights of {WHAT} were trained with --separable_conv, a head that is not here")
    depth = depth_of(tuple(count(state, f"backbone.layer{i}.#.") for i in range(1, 5)), WHAT)
    rules = PLUS_RULES if plus else V3_RULES
    return Reading(
        "deeplabv3plus" if plus else "deeplabv3",
        PLUS | {"encoder": f"dilated_resnet{depth}"} if plus else {"depth": depth, "output_stride": 16},
        int(score.shape[0]),
        lambda key: renamed(key, rules),
        heads=("score.",),
        in_channels=int(weight(state, "backbone.conv1.weight", WHAT).shape[1]),
        convert=low_level_last if plus else None,
    )


def low_level_last(key: str, tensor: Tensor) -> Tensor:
    """The decoder's first weights, `(256, 48 + 256, 3, 3)`, as `(256, 256 + 48, 3, 3)`; others as they are."""
    return torch.cat([tensor[:, SLIM:], tensor[:, :SLIM]], dim=1) if key == "decoder.0.conv.weight" else tensor


SOURCE = Source(
    about="DeepLabv3 and DeepLabv3+ on ResNet-50 and ResNet-101: VOC and Cityscapes models",
    read=read,
    classes={19: "cityscapes", 21: "voc"},
)
