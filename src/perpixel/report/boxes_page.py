"""The page of a detector's run: average precision, precision against recall, the images that did worst."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import perpixel
from perpixel.core.errors import UserError
from perpixel.core.files import write_text
from perpixel.core.reporter import Reporter
from perpixel.data.folders import open_dataset
from perpixel.detection.truth import read_objects
from perpixel.infer.detector import BoxPredictor, draw_truth, load_detector
from perpixel.infer.evaluate_boxes import EvaluatedBoxes, evaluate_boxes
from perpixel.infer.images import display_image
from perpixel.labels import Taxonomy
from perpixel.report.charts import line_chart
from perpixel.report.pictures import data_uri, shrink
from perpixel.report.run import RunFolder

PICTURED = 6
CURVES = (("training loss", "loss"), ("learning rate", "lr"), ("val AP", "val_ap"), ("val AP50", "val_ap50"))


def write_boxes_report(
    run: RunFolder, data: str | None = None, split: str = "val", report: Reporter | None = None
) -> Path:
    """Measures a detector and writes RUN/report.html; arguments and errors are those of `write_report`."""
    context: dict[str, Any] = {
        "note": "",
        "results": dict(run.info.metrics) if run.info else {},
        "pr": [],
        "images": [],
    }
    try:
        context |= _measured(run, data, split, report)
    except UserError as error:
        if data is not None:
            raise
        context["note"] = str(error)
    names = run.info.detection.classes if run.info and run.info.detection else ()
    context |= {
        "title": f"{run.recipe.model.name} on {Path(run.recipe.data.path).name}",
        "curves": _curves(run),
        "classes": _classes(context["results"], names),
        "training": run.info.training if run.info else {},
        "trained_on": run.trained_on(),
        "recipe": yaml.safe_dump(run.recipe.model_dump(mode="json"), sort_keys=False),
        "version": perpixel.__version__,
        "written": f"{datetime.now():%Y-%m-%d %H:%M}",
    }
    page = _template().render(context)
    # a file's name may hold bytes that are no text; they must not cost the page
    write_text(run.path / "report.html", page.encode("utf-8", "backslashreplace").decode())
    return run.path / "report.html"


def _measured(run: RunFolder, data: str | None, split: str, report: Reporter | None) -> dict[str, Any]:
    if run.info is None:
        raise UserError(f"{run.best}: no model was kept yet; the run was stopped before its first evaluation")
    dataset = open_dataset(data or run.recipe.data.path)
    if split == "val" and split not in dataset.splits and data is None:
        split = run.recipe.data.val_split
    samples, predictor = dataset.split(split), load_detector(run.best)
    measured = evaluate_boxes(predictor, samples, dataset.classes, report)
    results = {**measured.results, "split": split, "images": len(samples)}
    taxonomy = dataset.classes or predictor.taxonomy
    return {"results": results, "pr": _pr(predictor, measured), "images": _images(predictor, measured, taxonomy)}


def _pr(predictor: BoxPredictor, measured: EvaluatedBoxes) -> list[tuple[str, Markup]]:
    """(class, chart) of precision against recall, for each class with an object that was found."""
    charts = []
    for k, name in enumerate(predictor.names):
        recall, precision = measured.evaluation.curve(k)
        if recall.size:
            points = [(0.0, float(precision[0])), *zip(recall.tolist(), precision.tolist(), strict=True), (1.0, 0.0)]
            says = f"Precision against recall of {name} at IoU 0.5: recall {recall[-1]:.3f} at precision {precision[-1]:.3f}"
            charts.append((name, line_chart(_thinned(points), says, "recall")))
    return charts


def _thinned(points: list[tuple[float, float]], most: int = 300) -> list[tuple[float, float]]:
    step = max(1, len(points) // most)
    return [*points[:-1:step], points[-1]]


def _images(predictor: BoxPredictor, measured: EvaluatedBoxes, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """The images that did worst, with the true and the found boxes."""
    shots = []
    for one in measured.worst(PICTURED):
        takes = predictor.preprocessing
        image, truth = read_objects(one.sample, taxonomy, predictor.rule, takes.mean_of_bands, takes.stored)
        found = predictor.predict(image)
        pictures = {
            "truth": draw_truth(display_image(image, takes.bands), truth, predictor.colours),
            "found, score 0.5 and more": found.picture(),
        }
        panels = [(kind, data_uri(shrink(np.asarray(picture)))) for kind, picture in pictures.items()]
        words = f"F1 {one.f1:.3f}: {one.right} right, {one.wrong} wrong, {one.missed} missed"
        shots.append({"name": one.sample.name, "words": words, "panels": panels})
    return shots


def _curves(run: RunFolder) -> list[tuple[str, Markup]]:
    found = []
    for title, column in CURVES:
        points = run.curve(column)
        if points:
            best = column.startswith("val_")
            says = f"{title} to step {points[-1][0]:,.0f}: from {points[0][1]:.4g} to {points[-1][1]:.4g}"
            found.append((title, line_chart(points, says, "step", mark_best=best)))
    return found


def _classes(results: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of the table of classes."""
    if "coco" not in results:
        return []
    return [
        {
            "name": name,
            "objects": results["objects"][k],
            "ap": results["coco"]["per_class"][k],
            "ap50": results["coco"]["ap50_per_class"][k],
            "voc07": results["voc07"]["per_class"][k],
            "voc10": results["voc10"]["per_class"][k],
        }
        for k, name in enumerate(names)
    ]


def _template() -> Any:
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"number": lambda value: "-" if value is None else f"{value:.3f}"}
    return environment.get_template("boxes.html.j2")
