"""One line a network: how many parameters it must have, who says so, and a small variant for the other tests."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """`parameters` is the count of `build(name, num_classes, in_channels, **options)`.

    `small` are the options of a variant quick enough for the tests of behaviour; without it the case is only counted.
    """

    name: str
    num_classes: int
    parameters: int
    source: str
    in_channels: int = 3
    options: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] | None = None

    def __str__(self) -> str:
        return "-".join([self.name, str(self.num_classes), *(f"{key}={value}" for key, value in self.options.items())])


TRAMAC = "Tramac/Fast-SCNN-pytorch, less the biases (2 x 128) in front of two batch norms"
UNET = "the 23 convolutions of the paper's figure 1, with biases"
SEMANTIC_FPN = "ResNet 23,508,032 or 42,500,160, pyramid 3,344,384, branch with group norms 1,626,259"

CASES = (
    Case("fast_scnn", 19, 1_138_051 - 256, TRAMAC),
    Case("fast_scnn", 11, 1_137_019 - 256, TRAMAC, small={}),
    Case("fast_scnn", 19, 1_138_051 - 256 + 19_123, TRAMAC, options={"aux": True}),
    Case("fast_scnn", 11, 1_137_019 - 256 + 18_859, TRAMAC, options={"aux": True}, small={"aux": True}),
    Case("fpn", 19, 28_478_675, SEMANTIC_FPN, options={"encoder": "resnet50"}, small={"encoder": "resnet18"}),
    Case("fpn", 19, 47_470_803, SEMANTIC_FPN, options={"encoder": "resnet101"}),
    Case("unet", 2, 31_030_658, UNET, in_channels=1, small={"width": 16}),
    Case("unet", 11, 31_032_395, UNET, options={"padding": "same"}, small={"width": 16, "padding": "same"}),
)
