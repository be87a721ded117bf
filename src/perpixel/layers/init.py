"""Initial weights."""

import math

from torch import nn


def kaiming_init(module: nn.Module) -> None:
    """Give every convolution in `module` normal weights of variance 2 / N, and zero biases.

    N counts the inputs of one output. It is computed here because PyTorch's own fan-in is the wrong way round for
    transposed convolutions, and its fan-out ignores groups.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, equation 10.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, mean=0.0, std=math.sqrt(2 / fan_in(part)))
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def fan_in(conv: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """How many inputs one output of the convolution sees (on average, where a transposed one overlaps unevenly).

    >>> fan_in(nn.Conv2d(8, 16, 3)), fan_in(nn.Conv2d(8, 8, 3, groups=8)), fan_in(nn.ConvTranspose2d(8, 4, 2, stride=2))
    (72.0, 9.0, 8.0)
    """
    inputs = conv.in_channels / conv.groups * math.prod(conv.kernel_size)
    return inputs / math.prod(conv.stride) if isinstance(conv, nn.ConvTranspose2d) else inputs
