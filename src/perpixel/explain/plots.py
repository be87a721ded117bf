"""The drawings: opaque white under dark ink, so that they read the same on a light and on a dark page.

Colours are those of Okabe and Ito, which people who confuse red and green tell apart; shapes say the same again.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from perpixel.core.files import atomic_write
from perpixel.explain.fields import LayerFields

INK, PAPER, QUIET = "#1d1d1f", "#ffffff", "#8a8a8e"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
DPI = 130


def canvas(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")


def plain(axes: Axes, x: str, y: str) -> Axes:
    """Axes with their units and without a frame at the top and right."""
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e7", linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def png(figure: Figure) -> bytes:
    """A figure as a PNG, without a version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG whole or not at all."""
    content = png(figure)
    with atomic_write(path) as aside:
        aside.write_bytes(content)


def draw_fields(found: Sequence[LayerFields], image: tuple[int, int]) -> Figure:
    """Three sizes of each layer, in the order in which layers run; what is larger than the image is drawn as a triangle.

    Args:
        found: of `measure_fields`.
        image: (H, W) of the images as the network takes them.
    """
    figure = canvas(max(5.0, 2.2 + 0.75 * len(found)), 4.4)
    axes = plain(figure.subplots(), "", "side of the field, in pixels of the network's input")
    place, most = np.arange(len(found)), max(image)
    theory = [_theoretical(one) for one in found]
    inside = np.array([t <= most for t in theory])
    axes.plot(place, np.minimum(theory, most), color=BLUE, linewidth=1.4)
    axes.plot(place[inside], np.array(theory)[inside], "s", color=BLUE, label="theoretical")
    if not inside.all():
        label = f"theoretical, more than the image ({image[0]} x {image[1]})"
        axes.plot(place[~inside], [most] * int((~inside).sum()), "^", color=BLUE, markersize=9, label=label)
    effective = [one.effective.side() for one in found]
    axes.plot(place, effective, "D-", color=ORANGE, linewidth=1.4, label="effective: 90 % of the gradient's energy")
    sizes = [one.sizes() for one in found]
    deviation = [0.0 if math.isnan(s.deviation) else s.deviation for s in sizes]
    axes.errorbar(
        place,
        [s.mean for s in sizes],
        deviation,
        fmt="o--",
        color=GREEN,
        capsize=4,
        linewidth=1.4,
        label="empirical (hidden patches): mean ± sd over units",
    )
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_xticks(place, [one.layer for one in found], rotation=35, ha="right")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.22), ncols=1, fontsize=9)
    return figure


def _theoretical(one: LayerFields) -> float:
    return math.inf if one.theoretical is None else math.sqrt(math.prod(one.theoretical.size))
