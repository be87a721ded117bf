"""A network whose fields are known by hand, and noise to look at."""

import torch
from torch import Tensor, nn

from perpixel.explain import Settings

QUICK = Settings(units=3, images=2, side=5, step=2, effective=1)


def images(count: int = 4, size: tuple[int, int] = (40, 52), seed: int = 0) -> list[Tensor]:
    return list(torch.randn(count, 1, 3, *size, generator=torch.Generator().manual_seed(seed)))


def network() -> nn.Sequential:
    """Strides, dilation, pooling and norm: fields 5, 6 and 18 wide, at strides 2, 2 and 4; offsets by hand below."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2, padding=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2),
        nn.Tanh(),
    ).eval()


OFFSETS = {"0": (0.0, 2.0), "3": (1.0, 4.0), "4": (1.0, 4.0)}
"""By hand: the pixel over unit 0 and pixels a unit. The pooling joins units 0 and 1 of a stride of 2."""
