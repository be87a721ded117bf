"""What a convolution takes for its own work on a CPU, for as long as it runs.

PyTorch gives convolutions to oneDNN, which lays out what it reads and writes in blocks of channels: copies of input, weights
and output come and go within the operator. Seen with PyTorch 2.15 on a processor with AVX-512, two threads, float32. With
one thread PyTorch may go another way, and lay out windows as a matrix.
"""

from typing import Any

import torch
from torch import Tensor

BLOCK = 16
"""Channels in a block."""


def on_cpu(name: str, args: tuple[Any, ...], outputs: list[Tensor]) -> int:
    """The most bytes that an operator holds at once, outputs among it; 0 for one that takes no more than its outputs.

    Args:
        name: as in `torch.ops.aten`.
        args: of that operator.
        outputs: all that it returned.
    """
    if name == "convolution":
        return forward(args[0], args[1], outputs[0], spread_out=args[6] and args[8] == 1)
    if name == "convolution_backward":
        return backward(*args[:3])
    return 0


def forward(x: Tensor, weight: Tensor, output: Tensor, spread_out: bool) -> int:
    """Blocked input, weights and output; then that output and the plain one. `spread_out`: by a transposed convolution."""
    if channels_last(x):
        return output.nbytes + 2 * weight.nbytes
    if spread_out:
        return max(x.nbytes + blocked(x) + weight.nbytes + output.nbytes, 3 * output.nbytes)
    return max(blocked(x) + weight.nbytes + blocked(output), blocked(output) + output.nbytes)


def backward(gradient: Tensor, x: Tensor, weight: Tensor) -> int:
    """First the input's gradient, then, beside it, that of the weights."""
    if channels_last(x):
        return x.nbytes + 2 * weight.nbytes
    inner = blocked(gradient) + weight.nbytes + blocked(x)
    return max(inner, 2 * x.nbytes, x.nbytes + inner, x.nbytes + 2 * weight.nbytes)


def channels_last(map: Tensor) -> bool:
    """Such maps are worked on as they lie in memory."""
    return map.dim() == 4 and map.is_contiguous(memory_format=torch.channels_last) and not map.is_contiguous()


def blocked(map: Tensor) -> int:
    """Bytes of a map whose channels are filled up to whole blocks."""
    channels = map.shape[1]
    return map.nbytes // channels * (-(-channels // BLOCK) * BLOCK) if channels else 0
