"""One page about one pixel: picture with fields, what hiding does, gradient, scores, and the context curve."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from perpixel.core.image import Array
from perpixel.explain.pixel import Explanation
from perpixel.explain.plots import BLUE, GREEN, INK, ORANGE, canvas, plain

MOST_SCORES = 8
FILLS = {"mean": "the mean colour of the data", "blur": "a blurred copy"}


def draw_explanation(found: Explanation) -> Figure:
    """Three pictures above, scores and the context curve below."""
    figure = canvas(11.5, 6.6)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.05, 1))  # type: ignore[misc]
    left, middle, right = top.subplots(1, 3)
    _fields(left, found)
    _occlusion(middle, found)
    _gradient(right, found)
    scores, context = bottom.subplots(1, 2, width_ratios=(1, 1.6))
    _scores(scores, found)
    _context(context, found)
    return figure


def _bare(axes: Axes, title: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, color=INK, fontsize=10)


def _grey(picture: Array) -> Array:
    """A pale grey copy, on which colours stand out."""
    return 110 + 0.57 * picture.astype(np.float32).mean(axis=2)


def _mark(axes: Axes, found: Explanation) -> None:
    """The pixel, and the limits of the picture."""
    axes.plot(found.at[1], found.at[0], "+", color="black", markersize=13, markeredgewidth=4)
    axes.plot(found.at[1], found.at[0], "+", color="white", markersize=11, markeredgewidth=1.6)
    axes.set_xlim(-0.5, found.picture.shape[1] - 0.5)
    axes.set_ylim(found.picture.shape[0] - 0.5, -0.5)


def _fields(axes: Axes, found: Explanation) -> None:
    _bare(axes, "the pixel (+), its segment, its fields")
    axes.imshow(found.picture)
    _outline(axes, found.region)
    side = found.effective.side()
    words = []
    if not math.isnan(side):
        _square(axes, found, (side, side), ORANGE)
        words.append(f"orange: effective, {side:.0f}")
    theory = found.theoretical.size if found.theoretical else (math.inf, math.inf)
    if all(map(math.isfinite, theory)):
        _square(axes, found, theory, BLUE)
        words.append(f"blue: theoretical, {theory[0]:g}")
    else:
        words.append("theoretical: everything")
    _mark(axes, found)
    axes.set_xlabel(f"{'; '.join(words)} pixels", color=INK, fontsize=9)


def _outline(axes: Axes, region: Array) -> None:
    """Closed at the picture's border, too."""
    columns, rows = (np.arange(-1, n + 1) for n in region.shape[::-1])
    for colour, width in (("black", 2.6), ("white", 1.2)):
        axes.contour(columns, rows, np.pad(region, 1), levels=[0.5], colors=colour, linewidths=width)


def _square(axes: Axes, found: Explanation, size: tuple[float, float], colour: str) -> None:
    corner = (found.at[1] - size[1] / 2, found.at[0] - size[0] / 2)
    axes.add_patch(Rectangle(corner, size[1], size[0], fill=False, edgecolor="white", linewidth=3.6))
    axes.add_patch(Rectangle(corner, size[1], size[0], fill=False, edgecolor=colour, linewidth=2))


def _occlusion(axes: Axes, found: Explanation) -> None:
    name = found.taxonomy.names[found.label]
    _bare(axes, f"what hiding {found.grid.side} x {found.grid.side} pixels does")
    axes.imshow(_grey(found.picture), cmap="gray", vmin=0, vmax=255)
    most = max(1e-3, float(abs(found.occlusion).max()))
    first, last = found.grid.centre((0, 0)), found.grid.centre((found.grid.shape[0] - 1, found.grid.shape[1] - 1))
    half = found.grid.step / 2
    shown = axes.imshow(
        found.occlusion,
        cmap="PuOr",
        norm=TwoSlopeNorm(0, -most, most),
        alpha=np.clip(abs(found.occlusion) / most * 1.6, 0, 0.9),
        extent=(first[1] - half, last[1] + half, last[0] + half, first[0] - half),
        interpolation="nearest",
    )
    _mark(axes, found)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label(f"change of P({name}) at +", fontsize=9)


def _gradient(axes: Axes, found: Explanation) -> None:
    _bare(axes, f"gradient of the logit of {found.taxonomy.names[found.label]} at +")
    size = np.sqrt(found.gradient)
    top = float(size.max()) or 1.0
    shown = axes.imshow(np.log10(np.maximum(size / top, 1e-3)), cmap="magma", vmin=-3, vmax=0)
    _mark(axes, found)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label("log10 of its size, 0 is the largest", fontsize=9)


def _scores(axes: Axes, found: Explanation) -> None:
    best = np.argsort(found.scores)[::-1][:MOST_SCORES]
    plain(axes, "probability at +", "")
    axes.grid(visible=False)
    colours = [tuple(c / 255 for c in found.taxonomy.colours[k]) for k in best]
    axes.barh(range(len(best)), found.scores[best], color=colours, edgecolor=INK, linewidth=0.8)
    for row, k in enumerate(best):
        axes.text(found.scores[k] + 0.01, row, f"{found.scores[k]:.3f}", va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(best)), [found.taxonomy.names[k] for k in best])
    axes.set_xlim(0, 1.14)
    axes.set_xticks([0, 0.5, 1])
    axes.invert_yaxis()


def _context(axes: Axes, found: Explanation) -> None:
    curve = found.context
    name = found.taxonomy.names[found.predicted]
    plain(axes, "pixels kept around the segment (of the network's input)", "score, IoU")
    places = np.arange(len(curve.points))
    axes.plot(places, [p.score for p in curve.points], "o-", color=BLUE, label=f"mean P({name}) over the segment")
    axes.plot(places, [p.iou for p in curve.points], "s--", color=ORANGE, label="IoU of the segment")
    axes.set_xticks(places, ["all" if math.isinf(p.radius) else f"{p.radius:g}" for p in curve.points])
    axes.set_ylim(0, 1.05)
    used = next(n for n, p in enumerate(curve.points) if p.radius == curve.used)
    axes.axvline(used, color=GREEN, linewidth=1.4, linestyle=":", label="context used: from here on within 0.05")
    axes.legend(frameon=False, fontsize=9, loc="best")
    axes.set_title(f"context: the rest replaced by {FILLS[curve.fill]}", color=INK, fontsize=10)
