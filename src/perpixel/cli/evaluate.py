"""perpixel evaluate: every metric of a model on a split, with the convention stated."""

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perpixel.data.samples import Dataset
    from perpixel.infer import Predictor
    from perpixel.labels import CommonTaxonomy, Taxonomy


def evaluate(
    model: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...", help="A folder of images and masks, or a dataset.yaml; several by --taxonomy."
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(help="Which split; all is every image. val unless given, all where DATA is not divided and new."),
    ] = None,
    flip: Annotated[bool, typer.Option(help="Average with the mirrored image's prediction.")] = False,
    only_miou: Annotated[bool, typer.Option("--only-miou", help="Skip the boundary and calibration metrics.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON here.")] = None,
    device: Annotated[str, typer.Option()] = "auto",
    taxonomy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Compare by this taxonomy: probabilities are summed over what makes a class."
        ),
    ] = None,
    model_as: Annotated[str | None, typer.Option(metavar="SET", help="Whose classes in it the model has.")] = None,
    data_as: Annotated[str | None, typer.Option(metavar="SET", help="Whose classes in it DATA has.")] = None,
) -> None:
    """Measure a model on whole images at their own size: a segmentation network by mIoU, a detector by average precision."""
    from perpixel.bundle import find_bundle, read_info
    from perpixel.cli.boxes import evaluate_boxes, task_of
    from perpixel.core.errors import UserError
    from perpixel.core.files import ready, write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.data.measured import default_split
    from perpixel.infer import evaluate as run
    from perpixel.infer import load
    from perpixel.labels import read_mapping
    from perpixel.metrics import METRICS

    if out is not None:
        ready(out)
    keep_freed_memory()
    if taxonomy is None and (len(data) > 1 or model_as or data_as):
        raise UserError(
            "several DATA, --model-as and --data-as go with --taxonomy FILE, which says what their classes are"
        )
    if len(set(data)) < len(data):
        raise UserError(f"one DATA is given twice: {', '.join(data)}; each counts once in the means")
    if task_of(model) == "detection":
        if taxonomy is not None:
            raise UserError("--taxonomy is for segmentation networks; this is a detector")
        return evaluate_boxes(model, data[0], split, out, device)
    predictor, metrics = load(model, device), ("confusion",) if only_miou else METRICS
    common = read_mapping(taxonomy) if taxonomy else None
    found = {}
    for name, dataset in [(name, open_dataset(name)) for name in data]:
        asked, classes = _in_classes(predictor, dataset, common, model_as, data_as)
        for note in dataset.notes:
            print(f"left out  {note}")
        part = split or default_split(dataset, read_info(find_bundle(model)).data)
        with for_user("evaluated", sys.stderr) as report:
            measured = run(asked, dataset.split(part), classes, metrics, flip, report)
        results = {
            "model": model,
            "data": dataset.name,
            "split": part,
            "images": len(measured.images),
            **measured.results,
        }
        for note in measured.notes:
            print(f"read      {note}")
        _show(results, asked.taxonomy.names)
        found[name] = {**results, **({"classes": list(asked.taxonomy.names)} if common else {})}
    results = next(iter(found.values())) if len(found) == 1 else _together(found)
    if out is not None:
        write_text(out, json.dumps(results, indent=2) + "\n")


def _in_classes(
    predictor: "Predictor",
    dataset: "Dataset",
    common: "CommonTaxonomy | None",
    model_as: str | None,
    data_as: str | None,
) -> "tuple[Predictor, Taxonomy | None]":
    """Who answers in which classes: those of model and data, which are the same, or those in which a taxonomy compares them."""
    if common is None:
        return predictor, dataset.classes
    from perpixel.infer.compared import compared

    found = compared(predictor, dataset, common, model_as, data_as)
    for line in found.lines:
        print(line)
    return found.predictor, found.taxonomy


def _together(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The results of several sets, with the means of their mIoU; both are printed."""
    each = [results["mean_iou"] for results in found.values()]
    means = {"mean": sum(each) / len(each), "harmonic_mean": statistics.harmonic_mean(each)} if None not in each else {}
    said = "  ".join(f"{what.replace('_', ' ')} {_number(value)}" for what, value in means.items())
    print(f"over {len(each)} sets, each counted once: mIoU {said or 'not defined, for one of them has no labels'}")
    return {"sets": found, **means}


def _show(results: dict[str, Any], names: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    nested = {k: v for k, v in results.items() if isinstance(v, dict) and "per_class" in v}
    columns = {"iou": results["iou"], "class_accuracy": results["class_accuracy"]}
    columns |= {k: v["per_class"] for k, v in nested.items()}
    means = {"iou": results["mean_iou"], "class_accuracy": results["mean_class_accuracy"]}
    means |= {k: v["mean"] for k, v in nested.items()}
    table = Table("class", show_footer=True)
    table.columns[0].footer = "mean"
    for key in columns:
        table.add_column(key.replace("_", " "), _number(means[key]), justify="right")
    for i, name in enumerate(names):
        table.add_row(name, *(_number(values[i]) for values in columns.values()))
    console = Console(highlight=False)
    console.print(table)
    print(f"mIoU {_number(results['mean_iou'])}  pixel accuracy {_number(results['pixel_accuracy'])}", end="")
    print(f"  frequency-weighted IoU {_number(results['frequency_weighted_iou'])}", end="")
    error = results.get("calibration", {}).get("error")
    print(f"  calibration error {_number(error)}" if error is not None else "")
    ignored = f"{results['ignored_share']:.2%} of their pixels ignored"
    print(
        f"{results['images']} images of {results['data']}, split {results['split']}, {ignored}: {results['convention']}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
