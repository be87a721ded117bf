"""Fields as a table for a terminal, and as JSON."""

import math
from collections.abc import Sequence
from typing import Any

from perpixel.analyze.fields import Field
from perpixel.explain.empirical import THRESHOLD, THRESHOLDS
from perpixel.explain.fields import LayerFields

LAYOUT = "{:<28} {:>11} {:>9} {:>15} {:>13} {:>6} {:>7}"


def lines(found: Sequence[LayerFields]) -> list[str]:
    """A heading, a line a layer, and what the columns are."""
    heading = LAYOUT.format("layer", "theoretical", "effective", "empirical", "at 5% .. 50%", "units", "images")
    rows = [
        LAYOUT.format(
            one.layer,
            sides(one.theoretical),
            number(one.effective.side()),
            f"{number(one.sizes().mean)} ± {number(one.sizes().deviation)}",
            f"{number(one.sizes(THRESHOLDS[0]).mean)} .. {number(one.sizes(THRESHOLDS[-1]).mean)}",
            f"{one.sizes().units}" + (f"+{one.dead}" if one.dead else ""),
            images(one),
        )
        for one in found
    ]
    words = [
        "Sides of squares in pixels of the network's input. Effective: 90 % of the gradient's energy. Empirical: mean ± sd",
        f"over units of where hiding changes a unit by {THRESHOLD:.0%} of the most, and the means at other thresholds.",
    ]
    if any(one.dead for one in found):
        words.append("Units after a + gave one value on all images; they are in no figure.")
    return [heading, *rows, *words]


def sides(field: Field | None) -> str:
    """The theoretical size for reading.

    >>> sides(Field((19, 19), (4.0, 4.0), (9.0, 9.0))), sides(Field((math.inf, 3), (1.0, 1.0), (0.0, 0.0))), sides(None)
    ('19', 'all x 3', 'unknown')
    """
    if field is None:
        return "unknown"
    rows, columns = ("all" if math.isinf(side) else f"{side:g}" for side in field.size)
    return rows if rows == columns else f"{rows} x {columns}"


def number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def images(one: LayerFields) -> str:
    """How many images the units have: one number, or from .. to."""
    counts = sorted({found.images for found in one.empirical.values()})
    return "-" if not counts else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}..{counts[-1]}"


def as_json(found: Sequence[LayerFields]) -> list[dict[str, Any]]:
    """One object a layer; sides in pixels, None for what is infinite or unknown."""
    return [_one(layer) for layer in found]


def _one(found: LayerFields) -> dict[str, Any]:
    bell = found.effective.gaussian()
    theory = found.theoretical
    return {
        "layer": found.layer,
        "theoretical": theory and [_finite(side) for side in theory.size],
        "theoretical_note": theory.note if theory else "not known",
        "effective_side_90": _finite(found.effective.side()),
        "effective_side_50": _finite(found.effective.side(0.5)),
        "effective_gaussian_sigma": [_finite(s) for s in bell.sigma],
        "effective_gaussian_r2": _finite(bell.fits),
        "effective_images": found.effective.images,
        "empirical": {
            f"{t:g}": {"mean": _finite(s.mean), "sd": _finite(s.deviation), "units": s.units}
            for t, s in ((t, found.sizes(t)) for t in THRESHOLDS)
        },
        "units": [
            {
                "channel": unit.channel,
                "images": one.images,
                "sizes": {f"{t:g}": _finite(one.size(t)) for t in THRESHOLDS},
            }
            for unit, one in found.empirical.items()
        ],
        "dead_units": found.dead,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
