"""bf16 on CPUs, without the one convolution that PyTorch gets wrong there."""

import torch
from torch import Tensor, nn


def spare_dilated_depthwise(model: nn.Module) -> int:
    """Lets every dilated depthwise convolution of a model compute in fp32 under autocast; returns how many there are.

    On CPUs with bf16 instructions, PyTorch's gradient of such a convolution's weights (bf16, channels last, dilation 2 or
    more) is partly memory that nobody wrote: now and then NaN or 1e29 (seen with 2.15). They are a small share of any
    network's work. The network's class, keys and fp32 results stay as they are.
    """
    found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1 and max(m.dilation) > 1]
    for module in found:
        module.forward = _InFp32(module)  # type: ignore[method-assign, assignment]
    return len(found)


class _InFp32:
    def __init__(self, module: nn.Conv2d) -> None:
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.module._conv_forward(x.float(), self.module.weight, self.module.bias)
