"""Charts as inline SVG. Colours are the page's CSS, so that one chart is right in light, in dark and on paper."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 38


@dataclass(frozen=True)
class Axes:
    """The map from values to the drawing's units; the ranges are not empty."""

    x: tuple[float, float]
    y: tuple[float, float]

    def px(self, value: float) -> float:
        """The horizontal place of a value."""
        return round(LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT), 1)

    def py(self, value: float) -> float:
        """The vertical place of a value."""
        return round(HEIGHT - BOTTOM - (value - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM), 1)


def line_chart(points: Sequence[tuple[float, float]], says: str, x_label: str, mark_best: bool = False) -> Markup:
    """A curve over steps.

    Args:
        points: (x, y), sorted by x; at least one.
        says: the chart in words, for who cannot see it.
        x_label: what the horizontal axis is.
        mark_best: draw the points, and the highest one with its value.
    """
    highest = max(y for _, y in points)
    ticks = nice_ticks(min(0.0, *(y for _, y in points)), highest)
    axes = Axes((0.0, max(points[-1][0], 1e-12)), (ticks[0], ticks[-1]))
    path = " ".join(f"{axes.px(x)},{axes.py(y)}" for x, y in points)
    inside = [f'<polyline class="line" points="{path}"/>']
    if mark_best or len(points) == 1:
        inside += [f'<circle class="dot" cx="{axes.px(x)}" cy="{axes.py(y)}" r="3"/>' for x, y in points]
    if mark_best:
        inside.append(_best(axes, *max(points, key=lambda p: p[1])))
    return _svg([*_frame(axes, nice_ticks(*axes.x), ticks, x_label), *inside], says)


def _best(axes: Axes, x: float, y: float) -> str:
    px, py = axes.px(x), axes.py(y)
    anchor = "end" if px > WIDTH * 0.75 else "middle" if px > LEFT + 40 else "start"
    above = py - 10 if py > TOP + 12 else py + 20
    text = f'<text class="mark" x="{px}" y="{above}" text-anchor="{anchor}">{y:.4f}</text>'
    return f'<circle class="best" cx="{px}" cy="{py}" r="5"/>{text}'


def histogram(values: Sequence[float], says: str, x_label: str, bins: int = 20) -> Markup:
    """How many of the values, all in [0, 1], fall into each of equal bins."""
    counts = [0] * bins
    for v in values:
        counts[min(int(v * bins), bins - 1)] += 1
    ticks = [t for t in nice_ticks(0, max(counts)) if t == int(t)]
    axes = Axes((0.0, 1.0), (0.0, max(ticks[-1], max(counts))))
    bars = [_bar(axes, i / bins, (i + 1) / bins, n) for i, n in enumerate(counts) if n]
    return _svg([*_frame(axes, nice_ticks(0, 1), ticks, x_label), *bars], says)


def reliability(table: dict[str, list[float | None]], says: str) -> Markup:
    """Accuracy against confidence: a bar a bin, stronger where more pixels are, and the diagonal that it should follow.

    Args:
        table: lower, upper, count, confidence and accuracy of each bin, None in an empty one.
        says: the chart in words.
    """
    axes = Axes((0.0, 1.0), (0.0, 1.0))
    most = max([c for c in table["count"] if c], default=1)
    parts = []
    for low, high, count, confidence, accuracy in zip(*(table[k] for k in _COLUMNS), strict=True):
        if count and low is not None and high is not None and confidence is not None and accuracy is not None:
            opacity = 0.25 + 0.75 * math.sqrt(count / most)
            parts.append(_bar(axes, low, high, accuracy, opacity))
            parts.append(f'<circle class="gap" cx="{axes.px(confidence)}" cy="{axes.py(accuracy)}" r="3"/>')
    diagonal = f'<line class="ideal" x1="{axes.px(0)}" y1="{axes.py(0)}" x2="{axes.px(1)}" y2="{axes.py(1)}"/>'
    ticks = nice_ticks(0, 1)
    return _svg([*_frame(axes, ticks, ticks, "confidence"), *parts, diagonal], says)


def share_chart(points: Sequence[tuple[float, float]], says: str, x_label: str) -> Markup:
    """A curve over shares in [0, 1].

    Args:
        points: (x, y), sorted by x; at least one.
        says: the chart in words.
        x_label: what the horizontal axis is.
    """
    ticks = nice_ticks(0.0, max(y for _, y in points))
    axes = Axes((0.0, 1.0), (ticks[0], ticks[-1]))
    path = " ".join(f"{axes.px(x)},{axes.py(y)}" for x, y in points)
    return _svg([*_frame(axes, nice_ticks(0, 1), ticks, x_label), f'<polyline class="line" points="{path}"/>'], says)


_COLUMNS = ("lower", "upper", "count", "confidence", "accuracy")


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers 1, 2 or 5 times a power of ten apart that enclose a range.

    >>> nice_ticks(0, 1.9)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    >>> nice_ticks(0, 0)
    [0.0, 1.0]
    """
    if not high > low:
        high = low + 1
        about = 1
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.8)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.10g}") for i in range(first, last + 1)]


def _bar(axes: Axes, left: float, right: float, height: float, opacity: float = 1.0) -> str:
    x, y = axes.px(left), axes.py(height)
    width, tall = max(axes.px(right) - x - 1.5, 0.5), axes.py(0) - y
    place = f'x="{x + 0.75:.1f}" y="{y}" width="{width:.1f}" height="{tall:.1f}"'
    return f'<rect class="bar" {place} opacity="{opacity:.2f}"/>'


def _frame(axes: Axes, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for t in y_ticks:
        y = axes.py(t)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_number(t)}</text>')
    for t in x_ticks:
        if t <= axes.x[1] * 1.0001:
            place = f'x="{axes.px(t)}" y="{bottom + 16}" text-anchor="middle"'
            parts.append(f'<text class="tick" {place}>{_number(t)}</text>')
    middle = (LEFT + right) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def _svg(parts: Sequence[str], says: str) -> Markup:
    inside = "".join(parts)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(says)}">{inside}</svg>'
    )
