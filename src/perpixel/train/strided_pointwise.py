"""Strided 1x1 convolutions on CPUs, without the memory that PyTorch writes to beside its own."""

import torch.nn.functional as F
from torch import Tensor, nn

SAFE_CHANNELS = 16
"""From so many input channels on, the gradient is right."""


def spare_strided_pointwise(model: nn.Module) -> int:
    """Lets thin strided 1x1 convolutions of a model take every stride-th pixel first; returns how many there are.

    On CPUs, channels last, PyTorch's gradient of such a convolution's weights writes beyond its memory where it has 2 to 15
    input channels, in fp32 and bf16: a segmentation fault, sooner or later (seen with 2.15 and AVX-512, for every such number
    of channels and none other). The pixels that a stride leaves out count for nothing, so that the result is the same
    convolution's. The network's class and keys stay as they are.
    """
    found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and _is_thin(m)]
    for module in found:
        module.forward = _OfStridedPixels(module)  # type: ignore[method-assign, assignment]
    return len(found)


def _is_thin(m: nn.Conv2d) -> bool:
    pointwise = m.kernel_size == (1, 1) and m.padding == (0, 0) and m.groups == 1
    return pointwise and max(m.stride) > 1 and 1 < m.in_channels < SAFE_CHANNELS


class _OfStridedPixels:
    def __init__(self, module: nn.Conv2d) -> None:
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        down, right = self.module.stride
        return F.conv2d(x[..., ::down, ::right], self.module.weight, self.module.bias)
