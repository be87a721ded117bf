"""Receptive fields, read off the gradient: which inputs move one output, and along how many ways."""

import numpy as np
import torch
from matplotlib.figure import Figure
from style import ACCENT, bare, canvas
from torch import Tensor, nn

from perpixel.layers.context import ContextModule

DILATIONS = (1, 2, 4)
SIDE = 81


def ones(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution, its weights all 1, so that ways add up and never cancel; biases zero."""
    nn.init.ones_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv.double()


def footprint(layers: list[nn.Module], side: int = SIDE) -> np.ndarray:
    """(side, side): the gradient of the middle output by every input, the number of ways from one to the other."""
    image = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    output: Tensor = image
    for layer in layers:
        output = layer(output)
    output[0, 0, side // 2, side // 2].backward()
    assert image.grad is not None
    return image.grad[0, 0].numpy()


def extent(field: np.ndarray) -> int:
    """The side of the square that is not zero."""
    rows = np.flatnonzero(field.any(axis=1))
    return int(rows[-1] - rows[0] + 1)


def stack(dilations: tuple[int, ...]) -> list[nn.Module]:
    """3x3 convolutions of one channel, of the given dilations."""
    return [ones(nn.Conv2d(1, 1, 3, padding=d, dilation=d)) for d in dilations]


def context_layers() -> list[nn.Module]:
    """The layers of the context module at one channel, all their weights 1."""
    module = ContextModule(1, depth=8, width="basic", padding="each")
    return [ones(conv) for conv in (*module.convs, module.project) if isinstance(conv, nn.Conv2d)]


def dilation() -> Figure:
    """Three convolutions of dilation 1, 2, 4, and the eight layers of the context module."""
    figure = canvas(7.0)
    top, bottom = figure.subfigures(2, 1, height_ratios=(2.9, 4.1))  # type: ignore[misc]
    top.suptitle("3x3 convolutions of dilation 1, 2, 4, one behind another", fontsize=11)
    for ax, count in zip(top.subplots(1, 3), (1, 2, 3), strict=True):
        field = footprint(stack(DILATIONS[:count]), side=19)
        show(ax, field, f"after dilation {DILATIONS[count - 1]}: {extent(field)} x {extent(field)}")
        taps = footprint(stack(DILATIONS[count - 1 : count]), side=19)
        rows, columns = np.nonzero(taps)
        ax.plot(columns, rows, "o", color=ACCENT, markersize=4.5, label="the 9 values the last layer reads")
    top.legend(*ax.get_legend_handles_labels(), loc="outside lower center", fontsize=9.5, frameon=False)
    bottom.suptitle("the context module, layer by layer (the darker, the more ways lead in)", fontsize=11)
    layers = context_layers()
    for number, ax in enumerate(bottom.subplots(2, 4).flat, start=1):
        field = footprint(layers[:number])
        conv = layers[number - 1]
        assert isinstance(conv, nn.Conv2d)
        kind = "1x1" if conv.kernel_size == (1, 1) else f"dilation {conv.dilation[0]}"
        show(ax, field, f"{number}: {kind}, {extent(field)} x {extent(field)}")
    return figure


def show(ax: object, field: np.ndarray, title: str) -> None:
    """The number of ways, its root, so that the rim shows; what has no way in is white."""
    shown = np.ma.masked_equal(np.sqrt(field / field.max()), 0)
    axes = bare(ax, title)  # type: ignore[arg-type]
    axes.imshow(shown, cmap="Blues", vmin=-0.35, vmax=1.0, interpolation="nearest")
