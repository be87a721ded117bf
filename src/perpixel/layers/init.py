"""Initial weights."""

from torch import nn


def kaiming_init(module: nn.Module) -> None:
    """Give every convolution in `module` normal weights of variance 2 / fan-in and no bias.

    Fan-in, not fan-out, because PyTorch's fan-out ignores groups and would start depthwise convolutions too small.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, equation 10.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
