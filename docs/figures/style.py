"""What the lecture's figures share: colours, a grid of numbers, and PNG files that are small and always the same."""

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

INK, GREY, ACCENT = "#222222", "#9a9a9a", "#c44e00"
WINDOWS = ("#cfe3f6", "#fbe0c4", "#d5ecd0", "#e8d8f0")
"""One pale colour for each of four windows."""
DPI = 110
WIDTH = 8.6
"""Inches: 946 pixels, about the width of a page on a code host."""


def canvas(height: float) -> Figure:
    """An empty figure of the page's width and `height` inches."""
    pyplot.rcParams.update({"font.size": 10.5, "axes.titlesize": 10.5, "text.color": INK, "axes.edgecolor": GREY})
    return pyplot.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def bare(axes: Axes, title: str) -> Axes:
    """The axes without ticks, under a title."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, color=INK)
    return axes


def numbers(axes: Axes, values: np.ndarray, faces: np.ndarray, *, form: str = "{:g}", bold: np.ndarray) -> None:
    """A table of cells: `values` (H, W), the colour of each cell (H, W) str, and which are bold (H, W) bool.

    Zeros are grey, so that what is not zero stands out.
    """
    height, width = values.shape
    for row in range(height):
        for column in range(width):
            cell = (column, row)
            axes.add_patch(pyplot.Rectangle(cell, 1, 1, facecolor=faces[row, column], edgecolor="white", linewidth=1.5))
            text = values[row, column] if isinstance(values[row, column], str) else form.format(values[row, column])
            axes.text(
                column + 0.5,
                row + 0.5,
                text,
                ha="center",
                va="center",
                color=GREY if text == "0" else INK,
                weight="bold" if bold[row, column] else "normal",
            )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of at most 256 colours, without a date or a version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    pyplot.close(figure)
    picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    picture.save(path, format="PNG", optimize=True)
