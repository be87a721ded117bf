"""Unpooling with stored positions, and transposed convolution, on numbers small enough to follow by hand."""

import numpy as np
import torch
from matplotlib.figure import Figure
from style import WINDOWS, bare, canvas, numbers
from torch import nn

from perpixel.layers.init import bilinear_init, bilinear_kernel
from perpixel.layers.unpool import max_pool_packed, max_unpool_packed, unpack

EXAMPLE = torch.tensor([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])
FOUR_AND_EIGHT = torch.tensor([[[[4.0, 8.0]]]])


def pooling() -> Figure:
    """The 4x4 example: pooled, with the two bits that say where each maximum stood, and unpooled."""
    values, kept = max_pool_packed(EXAMPLE[None, None])
    positions = unpack(kept, 4).view(2, 2).numpy()
    unpooled = max_unpool_packed(values, kept, (4, 4))[0, 0].numpy()
    four = np.array(WINDOWS).reshape(2, 2)
    sixteen = four.repeat(2, axis=0).repeat(2, axis=1)
    bits = np.array([f"{p:02b}" for p in positions.flat], dtype=object).reshape(2, 2)

    figure = canvas(2.75)
    axes = figure.subplots(1, 4, width_ratios=(4, 2.6, 2.6, 4))
    panels = (
        ("map, in windows of 2x2", EXAMPLE.numpy(), sixteen, unpooled > 0),
        ("kept: maxima", values[0, 0].numpy(), four, np.ones((2, 2), bool)),
        ("and their places,\n2 bits each", bits, four, np.zeros((2, 2), bool)),
        ("unpooled", unpooled, sixteen, unpooled > 0),
    )
    for ax, (title, shown, faces, bold) in zip(axes, panels, strict=True):
        numbers(bare(ax, title), shown, faces, bold=bold)
    figure.supxlabel("places in a window:  00 01 / 10 11", fontsize=10.5)
    return figure


def tiling() -> Figure:
    """Two values, 4 and 8: each lays down its own copy of the kernel, two apart; where copies overlap, they add."""
    kernel = bilinear_kernel(4)
    copies = torch.zeros(2, 4, 6)
    copies[0, :, 0:4] = 4 * kernel
    copies[1, :, 2:6] = 8 * kernel
    conv = nn.ConvTranspose2d(1, 1, kernel_size=4, stride=2, bias=False)
    bilinear_init(conv)
    with torch.no_grad():
        by_layer = conv(FOUR_AND_EIGHT)[0, 0]
    assert torch.equal(by_layer, copies.sum(dim=0)), "the layer and the tiling by hand must agree"

    figure = canvas(3.15)
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 3.4))
    blue, orange, white = WINDOWS[0], WINDOWS[1], "#f3f3f3"
    both = "#ddd2cf"
    one, two = (copies[i].numpy() > 0 for i in (0, 1))
    faces = np.where(one & two, both, np.where(one, blue, orange)).astype(object)
    numbers(
        bare(figure.add_subplot(grid[0, 1]), "input"),
        FOUR_AND_EIGHT[0, 0].numpy(),
        np.array([[blue, orange]]),
        bold=np.ones((1, 2), bool),
    )
    panels = (
        ("4 times the kernel", copies[0], np.where(one, blue, white)),
        ("8 times the kernel, 2 columns on", copies[1], np.where(two, orange, white)),
        ("their sum: the output", by_layer, faces),
    )
    for i, (title, shown, colours) in enumerate(panels):
        ax = bare(figure.add_subplot(grid[1, i]), title)
        numbers(ax, shown.numpy(), colours, bold=np.zeros((4, 6), bool))
        for text in ax.texts:
            text.set_fontsize(8.5)
    return figure
