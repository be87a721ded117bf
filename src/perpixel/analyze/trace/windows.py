"""Which inputs along one dimension each output of a layer reads: convolutions, poolings, resizes, borders."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perpixel.analyze.trace.bounds import Taps

LEAST = 1e-9
"""A weight of a resize below this is a rounding error of a zero."""


def window_taps(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Taps:
    """Those of a convolution or a pooling; what lies in the padding is read by nobody.

    >>> window_taps(4, 2, kernel=3, stride=2, padding=1, dilation=1).tolist()
    [[-1, 0, 1], [1, 2, 3]]
    """
    places = np.arange(outputs)[:, None] * stride - padding + np.arange(kernel) * dilation
    return np.where((places >= 0) & (places < inputs), places, -1)


def transposed_taps(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Taps:
    """Those of a transposed convolution, which lays input i's kernel at outputs i * stride - padding + k * dilation.

    >>> transposed_taps(2, 4, kernel=4, stride=2, padding=1, dilation=1).tolist()
    [[-1, 0, -1, -1], [1, -1, 0, -1], [-1, 1, -1, 0], [-1, -1, 1, -1]]
    """
    places = np.arange(outputs)[:, None] + padding - np.arange(kernel) * dilation
    inside = (places % stride == 0) & (places >= 0) & (places < inputs * stride)
    return np.where(inside, places // stride, -1)


def adaptive_taps(inputs: int, outputs: int) -> Taps:
    """Those of a pooling into a given number of windows.

    >>> adaptive_taps(5, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    index = np.arange(outputs)
    starts, ends = index * inputs // outputs, -(-(index + 1) * inputs // outputs)
    places = starts[:, None] + np.arange((ends - starts).max())
    return np.where(places < ends[:, None], places, -1)


def reflected(inputs: int, before: int, after: int) -> Taps:
    """Where a border mirrors the map, without repeating its edge.

    >>> reflected(3, 2, 1).flatten().tolist()
    [2, 1, 0, 1, 2, 1]
    """
    places = np.abs(np.arange(-before, inputs + after))
    return np.minimum(places, 2 * (inputs - 1) - places)[:, None]


def replicated(inputs: int, before: int, after: int) -> Taps:
    """Where a border repeats the map's edge.

    >>> replicated(3, 2, 1).flatten().tolist()
    [0, 0, 0, 1, 2, 2]
    """
    return np.arange(-before, inputs + after).clip(0, inputs - 1)[:, None]


def padded(inputs: int, before: int, after: int) -> Taps:
    """Where a border is of a constant; negative numbers cut.

    >>> padded(3, 1, -1).flatten().tolist()
    [-1, 0, 1]
    """
    places = np.arange(-before, inputs + after)
    return np.where((places >= 0) & (places < inputs), places, -1)[:, None]


@functools.lru_cache(maxsize=256)
def resize_taps(resize: Any, inputs: int, outputs: int, settings: tuple[Any, ...]) -> Taps:
    """Those of any of PyTorch's resizes, found by resizing.

    Args:
        resize: an operator such as `torch.ops.aten.upsample_bilinear2d.default`.
        settings: what comes behind the output size among its arguments, where the last dimension alone is resized. (Along
            others, smoothing ones go wrong for a map of one column; seen with PyTorch 2.15.)

    Channel c of what is resized is 1 at inputs c, c + n, c + 2n and so on, where n is more than any output reads: which
    of these an output reads is that next to where it lies itself.

    >>> resize_taps(torch.ops.aten.upsample_bilinear2d.default, 2, 4, (False, None, None)).tolist()
    [[0, -1], [0, 1], [0, 1], [1, -1]]
    """
    dims = 1 if "1d" in str(resize) else 3 if "3d" in str(resize) else 2
    ones, apart = [1] * (dims - 1), min(inputs, 16 * (2 + inputs // outputs))
    combs = torch.eye(apart, dtype=torch.float64, device="cpu").repeat(1, -(-inputs // apart))[:, :inputs]
    weights = resize(combs.reshape(1, apart, *ones, inputs), [*ones, outputs], *settings).view(apart, outputs)
    which = taps_of(weights.T.abs() > LEAST)
    nearby = (np.arange(outputs)[:, None] + 0.5) * inputs / outputs - 0.5
    places = which + apart * np.round((nearby - which) / apart).astype(np.int64)
    places += apart * ((places < 0).astype(np.int64) - (places >= inputs))
    return np.where(which >= 0, places, -1)


def taps_of(reads: Tensor) -> Taps:
    """`(outputs, inputs)` bool -> the places that are true, a line for each output.

    >>> taps_of(torch.tensor([[True, False, True], [False, True, False]])).tolist()
    [[0, 2], [1, -1]]
    """
    counts = reads.sum(dim=1)
    rows, columns = reads.nonzero(as_tuple=True)
    taps = np.full((len(reads), max(1, int(counts.max()))), -1, dtype=np.int64)
    first = (counts.cumsum(0) - counts)[rows]
    taps[rows.numpy(), (torch.arange(len(rows)) - first).numpy()] = columns.numpy()
    return taps


def reversed_taps(taps: Taps, length: int) -> Taps:
    """Which outputs read each of `length` inputs: where an unpooling may put what a pooling took.

    >>> reversed_taps(np.array([[0, 1], [2, -1]]), 3).tolist()
    [[0], [0], [1]]
    """
    reads = torch.zeros(length, len(taps), dtype=torch.bool)
    outputs, columns = np.nonzero(taps >= 0)
    reads[taps[outputs, columns], outputs] = True
    return taps_of(reads)


def per_dimension(values: Sequence[int] | int, dims: int) -> list[int]:
    """PyTorch's settings of a window: one number for all dimensions, or one for each."""
    listed = [values] if isinstance(values, int) else list(values)
    return listed * dims if len(listed) == 1 else listed
