"""One line a detector: how many parameters it must have, who says so, and a small variant for the other tests."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """`parameters` is the count of `build(name, num_classes, **options)`, less that of its `rpn` where `without_rpn`.

    `small` are the options of a variant quick enough for the tests of behaviour; without it the case is only counted.
    """

    name: str
    num_classes: int
    parameters: int
    source: str
    without_rpn: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] | None = None

    def __str__(self) -> str:
        return "-".join([self.name, str(self.num_classes), *(f"{key}={value}" for key, value in self.options.items())])


RESNET_50, RESNET_101 = 23_508_032, 42_500_160
"""Without their classifiers; torchvision counts so too."""
RFCN = "daijifeng001/R-FCN, ResNet-101L: the trunk, 1x1 to 1024, to 49 x 21 and to 49 x 8, all with biases"
DEFORMABLE = (
    "msracver/Deformable-ConvNets, rfcn/symbols/resnet_v1_101_rfcn_dcn.py: R-FCN and its five offset convolutions"
)
TORCHVISION = "torchvision.models.detection.fasterrcnn_resnet50_fpn, with batch norms that are not frozen"
FAST = "rbgirshick/fast-rcnn, models/VGG16: 13 convolutions, fc6 and fc7 with 4096, 21 scores and 84 deltas"
REDUCED = 1025 * 49 * (21 + 8)
OFFSETS = 3 * (9 * 512 * 72 + 72) + 1025 * 49 * 2 * (21 + 1)
SMALL_RFCN = {
    "encoder": "resnet10t",
    "stride": 8,
    "channels": 32,
    "group": 3,
    "anchor_sizes": (12, 24),
    "proposals": 40,
}

CASES = (
    Case("rfcn", 20, 46_054_861, RFCN, without_rpn=True, small=SMALL_RFCN),
    Case("rfcn", 20, RESNET_50 + 2049 * 1024 + REDUCED, RFCN, without_rpn=True, options={"encoder": "resnet50"}),
    Case(
        "rfcn",
        20,
        46_054_861 + 9217 * 512 + 513 * 5 * 9,
        "the same, and 3x3 1024 to 512, 5 values for each of 9 anchors",
    ),
    Case("deformable_rfcn", 20, 46_054_861 + OFFSETS, DEFORMABLE, without_rpn=True, small=SMALL_RFCN),
    Case(
        "fpn_detector",
        90,
        41_808_406,
        TORCHVISION,
        small={
            "encoder": "resnet18",
            "channels": 32,
            "hidden": 32,
            "anchor_sizes": (8, 16, 24, 32, 48),
            "proposals": 40,
        },
    ),
    Case("fpn_detector", 90, 41_755_286, TORCHVISION.replace("not ", ""), options={"frozen_norms": True}),
    Case(
        "fast_rcnn_vgg16",
        20,
        14_714_688 + (25_088 + 1) * 4096 + 4097 * 4096 + 4097 * (21 + 84),
        FAST,
        small={"encoder": "resnet18", "channels": 32, "dropout": 0.0, "stride": 8, "window_sizes": (12, 24)},
    ),
)
