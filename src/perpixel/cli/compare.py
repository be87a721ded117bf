"""perpixel compare: two models on the same images, with paired intervals."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from perpixel.cli.errors import refuse_file
from perpixel.core.errors import UserError


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run, a bundle or a bundled model.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one, of the same classes.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
    group: Annotated[
        str | None, typer.Option(help="A pattern that finds an image's group in its name, for the intervals.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for compare.json and compare.html.")] = Path("compare"),
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """What B does better than A: mIoU, each class, borders and each kind of error, with paired intervals."""
    from perpixel.core.files import write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.explain.compare import compare_models, comparison_results
    from perpixel.explain.error_results import groups_of
    from perpixel.explain.setting import seen_in_training
    from perpixel.infer import load
    from perpixel.report.compare_page import Pair, write_compare_page

    refuse_file(out)
    keep_freed_memory()
    models, dataset = (load(first, device), load(second, device)), open_dataset(data)
    samples, taxonomy = dataset.split(split), dataset.classes or models[0].taxonomy
    groups = groups_of(samples, group) if group is not None else None
    if len(set(groups or range(len(samples)))) < 2:
        what = "group of images" if groups else "image"
        raise UserError(f"{data}: split {split} has one {what}; a comparison needs two or more to give an interval")
    seen, note = seen_in_training(dataset, taxonomy, split)
    with for_user("image", sys.stderr) as report:
        comparison = compare_models(*models, samples, seen, taxonomy, report)
    results = comparison_results(comparison, groups)
    _show(results)
    if note:
        print(note)
    out.mkdir(parents=True, exist_ok=True)
    about = Pair(first, second, dataset.name or dataset.root.name, split, shlex.join(["perpixel", *sys.argv[1:]]))
    said = {"first": first, "second": second, "data": about.data, "split": split, **results}
    write_text(out / "compare.json", json.dumps(said, indent=1) + "\n")
    print(
        f"compare   {write_compare_page(out / 'compare.html', about, comparison, results, models)}, compare.json beside it"
    )


def _show(results: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("A", "B", "B - A", "interval", "B better"):
        table.add_column(column, justify="right")
    unit = results["figures"][0]["unit"]
    for f in results["figures"]:
        if f["unit"] != unit:
            table.add_section()
            table.add_row("% of pixels, less is better")
            unit = f["unit"]
        scale, digits = (1, 4) if unit == "IoU" else (100, 2)
        table.add_row(f["name"], *_cells(f, scale, digits))
    Console(highlight=False).print(table)
    print(
        f"{results['images']} images; intervals of {results['interval_level']:.0%}: bootstrap over {results['resampled']}"
    )


def _cells(f: dict[str, Any], scale: int, digits: int) -> list[str]:
    if f["difference"] is None or f["interval"][0] is None:
        return ["-" if f[key] is None else f"{f[key] * scale:.{digits}f}" for key in ("first", "second")]
    low, high = (f"{x * scale:+.{digits}f}" for x in f["interval"])
    one, other, gap = f["first"] * scale, f["second"] * scale, f["difference"] * scale
    return [f"{one:.{digits}f}", f"{other:.{digits}f}", f"{gap:+.{digits}f}", f"{low} to {high}", f"{f['better']:.1%}"]
