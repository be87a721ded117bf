"""`write_compare_page`: two models beside each other, figure by figure, and where they differ most."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.image import Array
from perpixel.data.samples import Sample
from perpixel.explain.compare import LOWER_IS_BETTER, Comparison
from perpixel.infer import Predictor
from perpixel.report.figures import css_colour
from perpixel.report.pictures import data_uri, shrink
from perpixel.report.render import write_page

PICTURED = 3
"""So many images in which the first is better, and as many in which the second is."""
BLUE, ORANGE = (0, 114, 178), (230, 159, 0)  # told apart by the colour-blind


@dataclass(frozen=True)
class Pair:
    """What was compared, in words: the models, the data, the split, and the command."""

    first: str
    second: str
    data: str
    split: str
    command: str = ""


def write_compare_page(
    path: Path,
    about: Pair,
    comparison: Comparison,
    results: Mapping[str, Any],
    predictors: tuple[Predictor, Predictor],
) -> Path:
    """Writes one self-contained HTML page.

    Args:
        path: of the page.
        about: what was compared.
        comparison: of both models.
        results: of `comparison_results` for it.
        predictors: are asked again for the images that are shown.
    """
    taxonomy = comparison.first.taxonomy
    samples = {row.sample.name: row.sample for row in comparison.first.rows}
    gains = [(entry["only_second"] - entry["only_first"], entry) for entry in results["differ"]]
    shown = [e for gain, e in gains if gain < 0][:PICTURED] + [e for gain, e in gains if gain > 0][:PICTURED]
    context = {
        "about": about,
        "r": results,
        "legend": [(n, css_colour(c)) for n, c in zip(taxonomy.names, taxonomy.colours, strict=True)],
        "groups": _groups(results["figures"]),
        "shots": [{**entry, "panels": _panels(samples[entry["name"]], comparison, predictors)} for entry in shown],
    }
    return write_page(path, "compare.html.j2", context)


def _groups(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures by unit, with a scale that holds every interval of the unit."""
    found = []
    for unit in dict.fromkeys(f["unit"] for f in figures):
        rows = [f for f in figures if f["unit"] == unit]
        ends = [abs(x) for f in rows for x in (f["difference"], *f["interval"]) if x is not None]
        scale = max([*ends, 1e-9]) * 1.05
        lower = unit == LOWER_IS_BETTER
        found.append({"unit": unit, "lower": lower, "rows": [{**f, "bar": _bar(f, scale)} for f in rows]})
    return found


def _bar(figure: Mapping[str, Any], scale: float) -> dict[str, float] | None:
    """Places in percent of the width, 50 for no difference."""
    low, high = figure["interval"]
    if low is None or figure["difference"] is None:
        return None
    place = [50 + 50 * x / scale for x in (low, high, figure["difference"])]
    return {"left": place[0], "width": place[1] - place[0], "at": place[2]}


def _panels(sample: Sample, comparison: Comparison, predictors: tuple[Predictor, Predictor]) -> list[dict[str, Any]]:
    taxonomy = comparison.first.taxonomy
    image, truth = predictors[0].preprocessing.read_pair(sample, taxonomy)
    first, second = (p.predict(image) for p in predictors)
    pictures = {
        "image": first.image,
        "truth": taxonomy.colourise(truth),
        "first": taxonomy.colourise(first.labels),
        "second": taxonomy.colourise(second.labels),
        "who is right": who_is_right(first.labels, second.labels, truth, first.image),
    }
    small = {kind: shrink(picture, 360) for kind, picture in pictures.items()}
    return [
        {"kind": k, "uri": data_uri(p), "width": p.width, "height": p.height, "alt": f"{k} of {sample.name}"}
        for k, p in small.items()
    ]


def who_is_right(first: Array, second: Array, truth: Array, image: Array) -> Array:
    """(H, W, 3) uint8: orange where only the first is right, blue where only the second is, else the image, dim.

    >>> a, b, t = np.array([[0, 1, 0]]), np.array([[1, 0, 0]]), np.array([[0, 0, 0]])
    >>> who_is_right(a, b, t, np.zeros((1, 3, 3), np.uint8))[0].tolist()
    [[230, 159, 0], [0, 114, 178], [25, 25, 25]]
    """
    grey = 25 + 0.45 * image.astype(np.float32).mean(axis=2, keepdims=True)
    picture = np.repeat(grey, 3, axis=2).astype(np.uint8)
    valid, one, other = truth != IGNORE, first == truth, second == truth
    picture[valid & one & ~other] = ORANGE
    picture[valid & other & ~one] = BLUE
    return picture
