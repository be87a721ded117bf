"""perpixel evaluate: every metric of a model on a split, with the convention stated."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
    flip: Annotated[bool, typer.Option(help="Average with the mirrored image's prediction.")] = False,
    only_miou: Annotated[bool, typer.Option("--only-miou", help="Skip the boundary and calibration metrics.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON here.")] = None,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Measure a model on whole images at their own size."""
    from perpixel.core.files import write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.data.folders import open_dataset
    from perpixel.infer import evaluate as run
    from perpixel.infer import load
    from perpixel.metrics import METRICS

    keep_freed_memory()
    predictor, dataset = load(model, device), open_dataset(data)
    metrics = ("confusion",) if only_miou else METRICS
    measured = run(predictor, dataset.split(split), dataset.taxonomy, metrics, flip)
    results = {"model": model, "data": dataset.name, "split": split, "images": len(measured.images), **measured.results}
    _show(results, predictor.taxonomy.names)
    if out is not None:
        write_text(out, json.dumps(results, indent=2) + "\n")


def _show(results: dict, names: tuple[str, ...]) -> None:  # type: ignore[type-arg]
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    per_class = {k: v for k, v in results.items() if isinstance(v, list) and len(v) == len(names)}
    table = Table("class", *(k.replace("_", " ") for k in per_class))
    for i, name in enumerate(names):
        table.add_row(name, *(_number(v[i]) for v in per_class.values()))
    console.print(table)
    for key, value in results.items():
        if isinstance(value, int | float | str) or value is None:
            console.print(f"{key.replace('_', ' '):28}{_number(value)}", markup=False)


def _number(value: object) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
