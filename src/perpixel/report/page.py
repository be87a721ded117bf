"""`write_report`: one self-contained HTML page about a run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from perpixel.bundle.network import build_empty
from perpixel.core.errors import UserError
from perpixel.core.networks import is_detector
from perpixel.core.reporter import Reporter
from perpixel.data.folders import open_dataset
from perpixel.data.samples import Dataset, Sample
from perpixel.explain.error_results import error_results
from perpixel.explain.errors import study_errors
from perpixel.explain.setting import seen_in_training
from perpixel.explain.worst import WorstRegions
from perpixel.infer import Evaluated, Predictor, evaluate, load
from perpixel.labels import Taxonomy
from perpixel.report.charts import histogram, line_chart, reliability
from perpixel.report.class_shares import share_table
from perpixel.report.errors_page import errors_context
from perpixel.report.figures import (
    LEAST_SHARE,
    calibration_words,
    class_table,
    confusions,
    css_colour,
    never_predicted,
    percent,
    row_shares,
)
from perpixel.report.pictures import data_uri, error_picture, shrink
from perpixel.report.render import write_page
from perpixel.report.run import RunFolder, read_run

PICTURED = 4
LARGEST_MATRIX = 30
LISTED = 8
REGIONS = 2  # of each kind of error
TOP = 40


@dataclass(frozen=True)
class Measured:
    """The run's model, the data it was measured on, and what came out."""

    predictor: Predictor
    dataset: Dataset
    split: str
    evaluated: Evaluated


def write_report(run: str | Path, data: str | None = None, split: str = "val", report: Reporter | None = None) -> Path:
    """Measures a run's model and writes RUN/report.html.

    The page is whole when it is there at all. When the run's own data has moved or has no such split, or no model was
    kept yet, the page says so and shows what the run itself knows.

    Args:
        run: the folder of a training run.
        data: data to measure on; None takes the run's own.
        split: which part of it; "val" is the recipe's validation split, whatever its name.
        report: told how many images are measured; it may raise to stop.

    Returns:
        The page's path.

    Raises:
        UserError: `run` is no run; or `data` was given and cannot be used.
    """
    folder = read_run(Path(run))
    if is_detector(folder.recipe.model.name):
        from perpixel.report.boxes_page import write_boxes_report  # who segments does not wait for it

        return write_boxes_report(folder, data, split, report)
    measured, note = None, ""
    try:
        measured = _measure(folder, data, split, report)
    except UserError as error:
        if data is not None:
            raise
        note = str(error)
    return write_page(folder.path / "report.html", "template.html.j2", _context(folder, measured, note))


def _measure(run: RunFolder, data: str | None, split: str, report: Reporter | None) -> Measured:
    if run.info is None:
        raise UserError(f"{run.best}: no model was kept yet; the run was stopped before its first evaluation")
    dataset = open_dataset(data or run.recipe.data.path)
    if split == "val" and split not in dataset.splits and data is None:
        split = run.recipe.data.val_split
    samples = dataset.split(split)
    predictor = load(run.best)
    return Measured(predictor, dataset, split, evaluate(predictor, samples, dataset.classes, report=report))


def _context(run: RunFolder, measured: Measured | None, note: str) -> dict[str, Any]:
    taxonomy = measured.predictor.taxonomy if measured else run.info.classes if run.info else None
    results = measured.evaluated.results if measured else dict(run.info.metrics) if run.info else {}
    matrix = measured.evaluated.evaluation.confusion if measured else None
    return {
        "title": _title(run, measured),
        "note": note,
        "measured": measured is not None,
        "results": results,
        "facts": _facts(run, measured, results),
        "parameters": _parameters(run),
        "legend": _legend(taxonomy),
        "curves": _curves(run),
        "evaluations": [r for r in run.history if "val_mean_iou" in r],
        "classes": class_table(taxonomy, results, matrix) if taxonomy and results else None,
        "confusion": _confusion(measured) if measured else None,
        "calibration": _calibration(results),
        "images": _images(measured) if measured else None,
        "recipe": yaml.safe_dump(run.recipe.model_dump(mode="json"), sort_keys=False),
        "environment": {k.replace("_", " "): _text(v) for k, v in run.environment.items()},
        "shares": share_table(run, taxonomy),
        **(_errors(measured) if measured else {"r": None}),
    }


def _errors(measured: Measured) -> dict[str, Any]:
    """The kinds of errors; a second pass over the images, for what `evaluate` keeps are counts."""
    dataset, taxonomy = measured.dataset, measured.dataset.classes or measured.predictor.taxonomy
    samples = dataset.split(measured.split)
    seen, _ = seen_in_training(dataset, taxonomy, measured.split)
    study = study_errors(measured.predictor, samples, seen, taxonomy, WorstRegions(REGIONS))
    return errors_context(study, error_results(study), measured.predictor)


def _parameters(run: RunFolder) -> int | None:
    """How many the network has, whether or not its weights can be read; None where it cannot be built."""
    if run.info is None:
        return None
    try:
        return sum(p.numel() for p in build_empty(run.info).parameters())
    except UserError:  # the note says so already, for nothing could be measured either
        return None


def _title(run: RunFolder, measured: Measured | None) -> str:
    name = measured.dataset.name if measured else run.info.data.get("name") if run.info else ""
    return f"{run.recipe.model.name} on {name or Path(run.recipe.data.path).name}"


def _facts(run: RunFolder, measured: Measured | None, results: dict[str, Any]) -> dict[str, str]:
    """What there is to say in a word or two; what is not known is left out."""
    training = run.info.training if run.info else {}
    about = run.info.data if run.info else {}
    split = measured.split if measured else results.get("split")
    licence = measured.dataset.licence if measured else about.get("licence")
    facts = {
        "measured on": f"{_count(results.get('images'), 'image')} of split {split}" if split else "",
        "pixels ignored": percent(measured.evaluated.ignored_share) if measured else "",
        "data": str(measured.dataset.root if measured else run.recipe.data.path),
        "data licence": str(licence or ""),
        "trained on": _trained_on(run, about),
        "training": _training(training),
        "model saved": run.trained_on(),
        "command": str(run.environment.get("command", "")),
    }
    return {k: v for k, v in facts.items() if v}


def _trained_on(run: RunFolder, about: dict[str, Any]) -> str:
    name = about.get("name") or Path(run.recipe.data.path).name
    return f"{_count(about.get('train_images'), 'image')} of split {run.recipe.data.train_split} of {name}"


def _training(training: dict[str, Any]) -> str:
    """Steps, time, and which step the model is of, where the bundle says them in numbers."""
    steps, step, seconds = (training.get(k) for k in ("steps", "step", "seconds"))
    parts = [f"{steps:,} steps"] if isinstance(steps, int) else []
    if isinstance(seconds, int | float):
        minutes = seconds / 60
        parts.append(f"{minutes:.0f} min" if minutes >= 10 else f"{minutes:.1f} min")
    if isinstance(step, int) and step != steps:
        parts.append(f"the model is of step {step:,}")
    return ", ".join(parts)


def _count(n: Any, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}" if isinstance(n, int) else f"{noun}s"


def _text(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _legend(taxonomy: Taxonomy | None) -> list[tuple[str, str]]:
    return [(n, css_colour(c)) for n, c in zip(taxonomy.names, taxonomy.colours, strict=True)] if taxonomy else []


def _curves(run: RunFolder) -> list[tuple[str, Any]]:
    """(title, chart) for each curve that the history has, stage by stage."""
    found = []
    columns = ("training loss", "loss"), ("learning rate", "lr"), ("val mIoU", "val_mean_iou")
    for stage, (title, column) in itertools.product(dict.fromkeys(run.stages), columns):
        points = run.curve(column, stage)
        if points:
            best = column == "val_mean_iou"
            title = f"{title}, {stage}" if stage else title
            says = f"{title} to step {points[-1][0]:,.0f}: from {points[0][1]:.4g} to {points[-1][1]:.4g}"
            says += f", best {max(y for _, y in points):.4f}" if best else ""
            found.append((title, line_chart(points, says, "step", mark_best=best)))
    return found


def _confusion(measured: Measured) -> dict[str, Any]:
    matrix, taxonomy = measured.evaluated.evaluation.confusion, measured.predictor.taxonomy
    pairs = confusions(matrix, taxonomy)
    return {
        "rows": row_shares(matrix) if taxonomy.num_classes <= LARGEST_MATRIX else None,
        "by_share": [c for c in pairs if c.share >= LEAST_SHARE][:LISTED],
        "top": pairs[:TOP],
        "by_pixels": sorted(pairs, key=lambda c: -c.pixels)[:LISTED],
        "never": never_predicted(matrix, taxonomy),
    }


def _calibration(results: dict[str, Any]) -> dict[str, Any] | None:
    found = results.get("calibration")
    if not found or found.get("error") is None or not found.get("table"):
        return None
    words = calibration_words(found)
    says = f"Reliability diagram, expected calibration error {found['error']:.3f}. {words}"
    return {"error": found["error"], "words": words, "chart": reliability(found["table"], says)}


def _images(measured: Measured) -> dict[str, Any]:
    """The images that did worst and those in the middle, none of them twice."""
    ranked = measured.evaluated.worst(len(measured.evaluated.images))
    worst, rest = ranked[:PICTURED], ranked[PICTURED:]
    first = min(max(0, len(ranked) // 2 - PICTURED // 2 - PICTURED), max(0, len(rest) - PICTURED))
    median = rest[first : first + PICTURED]
    scores = [i.image_mean_iou for i in ranked]
    says = f"Image mean IoU of {len(scores)} images, from {scores[0]:.3f} to {scores[-1]:.3f}" if scores else ""
    return {
        "groups": [
            (title, [_panels(measured, i.sample, i.image_mean_iou) for i in group])
            for title, group in (("Worst images", worst), ("Images around the median", median))
            if group
        ],
        "spread": histogram(scores, says, "image mean IoU") if len(scores) > 2 * PICTURED else None,
        "unlabelled": len(measured.evaluated.images) - len(ranked),
    }


def _panels(measured: Measured, sample: Sample, score: float) -> dict[str, Any]:
    taxonomy = measured.predictor.taxonomy
    image, truth = measured.predictor.preprocessing.read_pair(sample, measured.dataset.classes or taxonomy)
    found = measured.predictor.predict(image)
    pictures = {
        "image": found.image,
        "truth": taxonomy.colourise(truth),
        "prediction": taxonomy.colourise(found.labels),
        "error": error_picture(found.labels, truth, found.image),
    }
    return {"name": sample.name, "score": score, "panels": _thumbnails(pictures, sample.name)}


def _thumbnails(pictures: dict[str, Any], name: str) -> Sequence[dict[str, Any]]:
    found = []
    for kind, picture in pictures.items():
        small = shrink(picture)
        alt = f"{kind} of {name}"
        found.append({"kind": kind, "alt": alt, "uri": data_uri(small), "width": small.width, "height": small.height})
    return found
