"""Convolution, normalisation, activation: the block that most networks are made of."""

from collections import OrderedDict

from torch import nn

from perpixel.layers.norm import BatchNorm2d


def conv_norm_act(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    act: bool = True,
    padding: int | None = None,
    bias: bool = False,
) -> nn.Sequential:
    """Convolution without bias, batch norm, and ReLU unless `act=False`.

    `(B, in, H, W)` -> `(B, out, ceil(H / stride), ceil(W / stride))`: zero padding keeps the size at stride 1.
    An even `kernel_size` has no such padding and raises `ValueError`. There is no bias because the batch norm's shift
    would make it useless. Another `padding`, and `bias=True`, are for weights from elsewhere that were trained so.
    The parts are named `conv`, `norm`, `act`.

    >>> list(conv_norm_act(3, 8).state_dict())[:2]
    ['conv.weight', 'norm.weight']
    """
    if kernel_size % 2 == 0:
        raise ValueError(f"conv_norm_act keeps sizes with an odd kernel_size only; got {kernel_size}")
    if padding is None:
        padding = dilation * (kernel_size - 1) // 2
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=padding, dilation=dilation, groups=groups, bias=bias
    )
    parts: list[tuple[str, nn.Module]] = [("conv", conv), ("norm", BatchNorm2d(out_channels, eps=1e-5, momentum=0.1))]
    if act:
        parts.append(("act", nn.ReLU(inplace=True)))
    return nn.Sequential(OrderedDict(parts))
