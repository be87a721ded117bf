"""Initial weights."""

import math

import torch
from torch import Tensor, nn


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


def bilinear_kernel(size: int) -> Tensor:
    """`(size, size)` weights that fall linearly from 1 at the centre to 0 just outside.

    For upsampling by a stride s the size is 2s (or 2s - 1 for an odd s); the copies of the kernel that a transposed
    convolution lays s apart then add up to 1 everywhere.

    Source: Long et al., "Fully Convolutional Networks", CVPR 2015, section 3.3.

    >>> (16 * bilinear_kernel(4)).tolist()
    [[1.0, 3.0, 3.0, 1.0], [3.0, 9.0, 9.0, 3.0], [3.0, 9.0, 9.0, 3.0], [1.0, 3.0, 3.0, 1.0]]
    >>> bilinear_kernel(3)[1].tolist()
    [0.5, 1.0, 0.5]
    """
    reach = (size + 1) // 2
    centre = reach - 1 if size % 2 else reach - 0.5
    line = 1 - (torch.arange(size) - centre).abs() / reach
    return line[:, None] * line


def bilinear_init(conv: nn.ConvTranspose2d) -> None:
    """Make a transposed convolution upsample bilinearly, each channel by itself.

    Its weights are `(C, C, size, size)`: the kernel from every channel to itself, zero from one channel to another.
    Raises `ValueError` for groups, for a kernel that is not square, and for counts of channels that differ.

    A transposed convolution lays a copy of its kernel, scaled by the value, at every value of its input, the stride
    apart, and adds where copies overlap. Two values, 4 and 8, by hand:

    >>> kernel, by_hand = bilinear_kernel(4), torch.zeros(4, 6)
    >>> by_hand[:, 0:4] += 4 * kernel
    >>> by_hand[:, 2:6] += 8 * kernel
    >>> by_hand[1].tolist()
    [0.75, 2.25, 3.75, 5.25, 4.5, 1.5]

    and by the layer:

    >>> conv = nn.ConvTranspose2d(1, 1, kernel_size=4, stride=2, bias=False)
    >>> bilinear_init(conv)
    >>> torch.equal(conv(torch.tensor([[[[4.0, 8.0]]]]))[0, 0], by_hand)
    True
    """
    height, width = conv.kernel_size
    if conv.groups != 1 or height != width or conv.in_channels != conv.out_channels:
        raise ValueError(f"bilinear upsampling needs one group, a square kernel and as many channels; got {conv}")
    with torch.no_grad():
        nn.init.zeros_(conv.weight)
        for channel in range(conv.in_channels):
            conv.weight[channel, channel] = bilinear_kernel(height)
