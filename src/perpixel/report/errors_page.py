"""`write_errors_page`: the kinds of errors of a model on a set, its worst regions, and what its figures are worth."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps

from perpixel.core.image import Array
from perpixel.data.samples import Sample
from perpixel.explain.class_context import ContextStudy
from perpixel.explain.context_plot import draw_context
from perpixel.explain.errors import ErrorStudy
from perpixel.explain.plots import png
from perpixel.explain.uncertainty import UncertaintyStudy
from perpixel.explain.worst import WrongRegion
from perpixel.infer import Prediction, Predictor
from perpixel.report.charts import reliability, share_chart
from perpixel.report.figures import css_colour
from perpixel.report.pictures import data_uri, error_picture, shrink
from perpixel.report.region_pictures import region_pictures
from perpixel.report.render import write_page

KIND_COLOURS = {
    "mismatched": "#cc79a7",
    "confused": "#e69f00",
    "inconspicuous": "#56b4e9",
    "boundary": "#009e73",
    "rest": "#8c8c8c",
}
"""Of Okabe and Ito, told apart by the colour-blind."""
MEANING = {
    "mismatched": "the class hardly ever occurs in such a scene, by the training set",
    "confused": "taken for a look-alike",
    "inconspicuous": "a small or faint object was missed",
    "boundary": "the border lies up to 3 pixels elsewhere",
    "rest": "all other",
}
MOST_DIAGRAMS = 30


@dataclass(frozen=True)
class About:
    """What was studied, in words: the model, the data, the split, and the command."""

    model: str
    data: str
    split: str
    command: str = ""


def write_errors_page(
    path: Path,
    about: About,
    study: ErrorStudy,
    results: Mapping[str, Any],
    predictor: Predictor,
    doubts: UncertaintyStudy | None = None,
    around: ContextStudy | None = None,
) -> Path:
    """Writes one self-contained HTML page.

    Args:
        path: of the page.
        about: what was studied.
        study: with its worst regions.
        results: of `error_results` for it.
        predictor: is asked again for the images of the worst regions.
        doubts: where the model is unsure; None leaves it out.
        around: how much context the classes use; None leaves it out.
    """
    context = {
        "about": about,
        "doubts": _doubts(doubts),
        "around": _context(around),
        **errors_context(study, results, predictor),
    }
    return write_page(path, "errors.html.j2", context)


def _context(study: ContextStudy | None) -> str | None:
    """The plot as a PNG in a URI."""
    figure = draw_context(study) if study else None
    return None if figure is None else f"data:image/png;base64,{base64.b64encode(png(figure)).decode()}"


def _doubts(study: UncertaintyStudy | None) -> list[dict[str, Any]]:
    """Of each image that is shown: the image, its errors, and a map of each measure."""
    found = []
    for unsure in study.shown if study else ():
        pictures = {"image": unsure.image, "errors": error_picture(unsure.labels, unsure.truth, unsure.image)}
        pictures |= {measure: _heat(values) for measure, values in unsure.maps.items()}
        small = {kind: shrink(picture, 360) for kind, picture in pictures.items()}
        panels = [
            {"kind": k, "uri": data_uri(p), "width": p.width, "height": p.height, "alt": f"{k} of {unsure.sample.name}"}
            for k, p in small.items()
        ]
        found.append({"name": unsure.sample.name, "panels": panels})
    return found


def _heat(values: Array) -> Array:
    """(H, W) of [0, 1] as (H, W, 3) uint8, black to yellow, by the root: the 99.5th percentile is the brightest."""
    scale = max(float(np.percentile(values, 99.5)), 1e-6)
    coloured = colormaps["inferno"](np.sqrt(np.clip(values / scale, 0, 1)))[..., :3]
    return (coloured * 255).astype(np.uint8)


def errors_context(study: ErrorStudy, results: Mapping[str, Any], predictor: Predictor) -> dict[str, Any]:
    """What the template of the sections on errors needs."""
    colours = dict(zip(study.taxonomy.names, map(css_colour, study.taxonomy.colours), strict=True))
    return {
        "r": results,
        "kinds": [(kind, KIND_COLOURS[kind], MEANING[kind]) for kind in KIND_COLOURS],
        "colours": colours,
        "sides": [_side(row) for row in results["sizes"]],
        "risk_chart": _risk_chart(results["confidence"]),
        "diagrams": _diagrams(results["confidence"]),
        "worst": _worst(study, predictor),
    }


def _side(row: Mapping[str, Any]) -> str:
    low, high = row["side"]
    words = f"above {low} px" if high is None else f"up to {high} px" if not low else f"{low} to {high} px"
    if "of_field" not in row:
        return words
    low, high = row["of_field"]
    return words + (f" (above {low:.0%} of the field)" if high is None else f" (up to {high:.0%} of the field)")


def _risk_chart(confidence: Mapping[str, Any]) -> Any:
    if not confidence["curve"]:
        return None
    says = f"Error rate by the share of pixels kept, the surest first; {confidence['risk']:.3f} of all pixels are wrong"
    return share_chart(confidence["curve"], says, "share of pixels kept")


def _diagrams(confidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [row for row in confidence["classes"] if row["error"] is not None]
    if len(rows) > MOST_DIAGRAMS:
        return []
    return [{**row, "chart": reliability(row["table"], f"Reliability of {row['name']}")} for row in rows]


def _worst(study: ErrorStudy, predictor: Predictor) -> list[dict[str, Any]]:
    asked: dict[str, tuple[Array, Prediction]] = {}
    groups = study.worst.by_kind(study.counts.alike)
    return [
        {"kind": kind, "colour": KIND_COLOURS[kind], "regions": [_panel(study, r, predictor, asked) for r in regions]}
        for kind, regions in groups.items()
    ]


def _panel(
    study: ErrorStudy, region: WrongRegion, predictor: Predictor, asked: dict[str, tuple[Array, Prediction]]
) -> dict[str, Any]:
    names, taxonomy = study.taxonomy.names, study.taxonomy
    truth, found = _asked(region.sample, study, predictor, asked)
    pictures = {
        "image": found.image,
        "truth": taxonomy.colourise(truth),
        "prediction": taxonomy.colourise(found.labels),
    }
    said = names[region.predicted] if region.predicted < len(names) else "nothing"
    contrast = "" if region.contrast != region.contrast else f", contrast {region.contrast:.2f}"
    return {
        "name": region.sample.name,
        "says": f"{names[region.truth]} taken for {said}",
        "size": f"{region.pixels:,} px{contrast}",
        "panels": [
            {"kind": k, "uri": data_uri(p), "width": p.width, "height": p.height, "alt": f"{k} of {region.sample.name}"}
            for k, p in region_pictures(region, pictures).items()
        ],
    }


def _asked(
    sample: Sample, study: ErrorStudy, predictor: Predictor, asked: dict[str, tuple[Array, Prediction]]
) -> tuple[Array, Prediction]:
    if sample.name not in asked:
        image, truth = predictor.preprocessing.read_pair(sample, study.taxonomy)
        asked[sample.name] = truth, predictor.predict(image)
    return asked[sample.name]
