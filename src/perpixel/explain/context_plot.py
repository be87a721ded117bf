"""One plot of how much context each class uses: the score by what is kept around it, and the fields beside."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perpixel.explain.class_context import ClassContext, ContextStudy
from perpixel.explain.context import ENOUGH
from perpixel.explain.explanation_plot import FILLS
from perpixel.explain.plots import BLUE, GREEN, INK, ORANGE, canvas, plain

Row = tuple[int, ClassContext]


def draw_context(study: ContextStudy) -> Figure | None:
    """Left the mean scores, right three sizes of each class; None where no object was found."""
    rows = [(k, one) for k, one in enumerate(study.classes) if one.curves]
    if not rows:
        return None
    figure = canvas(11.5, 1.9 + 0.34 * len(rows))
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1), sharey=True)
    _scores(left, study, rows)
    _sizes(right, study, rows)
    return figure


def _scores(axes: Axes, study: ContextStudy, rows: list[Row]) -> None:
    curves = [one.mean() for _, one in rows]
    scores = np.array([[p.score for p in curve.points] for curve in curves])
    axes.imshow(scores, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*scores.shape):
        value = scores[row, column]
        ink = "black" if value > 0.55 else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    names = [f"{study.taxonomy.names[k]} ({len(one.curves)})" for k, one in rows]
    axes.set_yticks(range(len(rows)), names, color=INK)
    for row, (k, _) in enumerate(rows):
        colour = tuple(c / 255 for c in study.taxonomy.colours[k])
        axes.plot(-0.62, row, "s", color=colour, markeredgecolor=INK, markersize=8, clip_on=False, markeredgewidth=0.6)
    axes.set_xlim(-0.5, scores.shape[1] - 0.5)
    axes.tick_params(axis="y", pad=12, length=0)
    axes.set_xticks(range(scores.shape[1]), [*map(str, study.radii), "all"], color=INK)
    axes.set_xlabel("pixels kept around the object (of the network's input)", color=INK)
    axes.set_title(f"mean probability of the class; the rest replaced by {FILLS[curves[0].fill]}", fontsize=10)


def _sizes(axes: Axes, study: ContextStudy, rows: list[Row]) -> None:
    plain(axes, "pixels of the network's input", "")
    places, most = np.arange(len(rows)), study.radii[-1] * 2
    used = [one.mean().used for _, one in rows]
    shown = [max(1.0, most if math.isinf(u) else u) for u in used]
    whole = np.array([math.isinf(u) for u in used])
    axes.plot(np.array(shown)[~whole], places[~whole], "o", color=GREEN, label="context used, each side", markersize=8)
    if whole.any():
        axes.plot(np.array(shown)[whole], places[whole], ">", color=GREEN, label="the whole image", markersize=9)
    axes.plot([one.effective for _, one in rows], places, "D", color=ORANGE, label="effective field, side")
    if study.theoretical:
        axes.axvline(study.theoretical, color=BLUE, linestyle="--", label=f"theoretical field, {study.theoretical:.0f}")
    axes.set_xscale("log", base=2)
    ticks = [4.0**n for n in range(8) if 4.0**n <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, ["≤ 1", *(f"{t:.0f}" for t in ticks[1:])])
    axes.grid(axis="both", color="#e4e4e7", linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    axes.set_title(f"used: from there on within {ENOUGH:g} of the score with all", fontsize=10)
