"""perpixel evaluate: every metric of a model on a split, with the convention stated."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    model: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")],
    split: Annotated[
        str | None,
        typer.Option(help="Which split; all is every image. val unless given, all where DATA is not divided and new."),
    ] = None,
    flip: Annotated[bool, typer.Option(help="Average with the mirrored image's prediction.")] = False,
    only_miou: Annotated[bool, typer.Option("--only-miou", help="Skip the boundary and calibration metrics.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON here.")] = None,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Measure a model on whole images at their own size: a segmentation network by mIoU, a detector by average precision."""
    from perpixel.bundle import find_bundle, read_info
    from perpixel.cli.boxes import evaluate_boxes, task_of
    from perpixel.core.files import ready, write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.data.measured import default_split
    from perpixel.infer import evaluate as run
    from perpixel.infer import load
    from perpixel.metrics import METRICS

    if out is not None:
        ready(out)
    keep_freed_memory()
    if task_of(model) == "detection":
        return evaluate_boxes(model, data, split, out, device)
    predictor, dataset = load(model, device), open_dataset(data)
    metrics = ("confusion",) if only_miou else METRICS
    for note in dataset.notes:
        print(f"left out  {note}")
    split = split or default_split(dataset, read_info(find_bundle(model)).data)
    with for_user("evaluated", sys.stderr) as report:
        measured = run(predictor, dataset.split(split), dataset.classes, metrics, flip, report)
    results = {"model": model, "data": dataset.name, "split": split, "images": len(measured.images), **measured.results}
    for note in measured.notes:
        print(f"read      {note}")
    _show(results, predictor.taxonomy.names)
    if out is not None:
        write_text(out, json.dumps(results, indent=2) + "\n")


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
