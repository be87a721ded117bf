"""perpixel errors: what kinds of errors a model makes on a set, and what its figures are worth."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perpixel.core.errors import UserError

if TYPE_CHECKING:
    from perpixel.data.samples import Sample
    from perpixel.infer import Predictor


def errors(
    model: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
    only: Annotated[str | None, typer.Option("--class", help="Show the worst regions of this class alone.")] = None,
    group: Annotated[
        str | None, typer.Option(help="A pattern that finds an image's group in its name, for the intervals.")
    ] = None,
    field: Annotated[
        float | None,
        typer.Option(min=1, help="Side in pixels to compare objects with; else that of the theoretical field."),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="So many of the worst regions of each kind.")] = 4,
    unsure: Annotated[
        int, typer.Option(min=0, help="So many images are also asked with dropout on, mirrored and at other sizes.")
    ] = 0,
    context: Annotated[
        int, typer.Option(min=0, help="Of each class, so many objects are asked how much around them is used.")
    ] = 0,
    fill: Annotated[str, typer.Option(help="What replaces the rest then: mean or blur.")] = "mean",
    out: Annotated[Path, typer.Option(help="The folder for errors.json and errors.html.")] = Path("errors"),
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Sort a model's wrong pixels: mismatched, confused, inconspicuous, boundary, rest; by class and object size."""
    from perpixel.core.files import write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.explain.class_context import context_results, study_context
    from perpixel.explain.context import check_fill
    from perpixel.explain.context_plot import draw_context
    from perpixel.explain.error_results import error_results, groups_of, uncertainty_results
    from perpixel.explain.errors import study_errors
    from perpixel.explain.plots import save
    from perpixel.explain.setting import class_number, seen_in_training
    from perpixel.explain.uncertainty import spread_over, study_uncertainty
    from perpixel.explain.worst import WorstRegions
    from perpixel.infer import load
    from perpixel.report.errors_page import About, write_errors_page

    refuse_file(out)
    check_fill(fill)
    keep_freed_memory()
    predictor, dataset = load(model, device), open_dataset(data)
    samples, taxonomy = dataset.split(split), dataset.classes or predictor.taxonomy
    groups = groups_of(samples, group) if group is not None else None
    label = None if only is None else class_number(taxonomy, only)
    seen, note = seen_in_training(dataset, taxonomy, split)
    with for_user("image", sys.stderr) as report:
        study = study_errors(predictor, samples, seen, taxonomy, WorstRegions(worst, label), report)
        doubts = study_uncertainty(predictor, spread_over(samples, unsure), taxonomy, report) if unsure else None
        around = study_context(predictor, samples, taxonomy, context, check_fill(fill), report) if context else None
    if label is not None:
        study.require_class(label)
    side = field or _field_side(predictor, samples)
    results = error_results(study, groups, side) | uncertainty_results(doubts) | context_results(around)
    _show(results)
    for line in (
        _said_of_field(field, side),
        note,
        "" if results["resampled"] else "no intervals: there is one image, or one group of them",
    ):
        if line:
            print(line)
    out.mkdir(parents=True, exist_ok=True)
    about = About(model, dataset.name or dataset.root.name, split, shlex.join(["perpixel", *sys.argv[1:]]))
    said = {"model": model, "data": about.data, "split": split, "field": side, **results}
    write_text(out / "errors.json", json.dumps(said, indent=1) + "\n")
    if around is not None and (figure := draw_context(around)) is not None:
        save(figure, out / "context.png")
    page = write_errors_page(out / "errors.html", about, study, results, predictor, doubts, around)
    print(f"errors    {page}, errors.json beside it")


def _field_side(predictor: "Predictor", samples: Sequence["Sample"]) -> float | None:
    """Of the theoretical field, in pixels of the first image."""
    from perpixel.core.image import image_size
    from perpixel.explain.fields import field_side

    height, width = image_size(samples[0].image)
    return field_side(predictor.model, predictor.preprocessing, (height, width))


def _said_of_field(given: float | None, side: float | None) -> str:
    if given:
        return ""
    return f"field     theoretical, {side:.0f} pixels a side" if side else "field     unbounded or not known: no shares"


def refuse_file(out: Path) -> None:
    """Raises UserError where a folder for results is a file, before the work is done."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; --out takes the folder for the results")


def _show(results: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    valid, wrong = results["valid"], results["wrong"]
    print(f"{results['images']} images: {wrong:,} of {valid:,} pixels are wrong ({_share(wrong, valid)} %)")
    console.print(_class_table(results))
    console.print(_size_table(results))
    for group in results["groups"]:
        print(f"group     {group['name']}: mIoU {_number(group['mean_iou'])} on {group['images']} images")
    for pair in results["look_alikes"][:5]:
        print(f"confused  {pair['truth']} taken for {pair['predicted']}: {pair['share']:.1%} of {pair['truth']}")
    ceilings = ", ".join(f"±{c['width']} px {_number(c['mean_iou'])}" for c in results["ceiling"])
    print(f"ceiling   mIoU of the truth with its borders elsewhere: {ceilings}")
    for figure, names in _alike(results["conventions"]).items():
        print(f"mIoU      {figure}  {'; '.join(names)}")
    if results["resampled"]:
        print(f"intervals of {results['interval_level']:.0%} by bootstrap over {results['resampled']}")
    sure = results["confidence"]
    chance = _number(sure["risk"])
    print(f"risk      area {_number(sure['area'])}; best possible {_number(sure['best_area'])}, by chance {chance}")
    if "uncertainty" in results:
        _show_unsure(results["uncertainty"])
    if "context" in results:
        _show_context(results["context"])


def _show_unsure(measured: dict[str, Any]) -> None:
    for measure, found in measured["measures"].items():
        chance = f"best possible {_number(found['best_area'])}, by chance {_number(found['risk'])}"
        print(f"unsure    {measure}: area {_number(found['area'])} on {measured['images']} images; {chance}")
    if measured["note"]:
        print(f"unsure    {measured['note']}")


def _show_context(measured: dict[str, Any]) -> None:
    from perpixel.cli.explain import radius

    for row in measured["classes"]:
        if not row["objects"]:
            print(f"context   {row['name']}: no object of it was found")
            continue
        used = radius(float("inf") if row["used"] is None else row["used"])
        print(
            f"context   {row['name']} uses {used}: score {row['score'][0]:.2f} alone, {row['score'][-1]:.2f} with all "
            f"({row['objects']} of its objects); effective field {_number(row['effective_side_90'], 0)}"
        )


def _alike(conventions: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The figures, each with the tools that give it."""
    found: dict[str, list[str]] = {}
    for figure in conventions:
        low_high = figure["interval"]
        between = f" ({_number(low_high[0])} to {_number(low_high[1])})" if low_high else ""
        found.setdefault(_number(figure["value"]) + between, []).append(figure["name"])
    return found


def _table(first: str, columns: tuple[str, ...]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(first, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(SHORT.get(column, column), justify="right")
    return table


SHORT = {"mismatched": "mis-\nmatched", "inconspicuous": "incon-\nspicuous"}
"""Of titles, so that a table fits into 80 columns."""


def _class_table(results: dict[str, Any]) -> Any:
    kinds = tuple(results["kinds"])
    table = _table("% of pixels", ("IoU", "±1 px", "wrong", *kinds))
    ceiling, valid = results["ceiling"][0], results["valid"]
    for row in results["classes"]:
        shares = (_share(row["kinds"][kind], row["pixels"]) for kind in kinds)
        figures = _number(row["iou"]), _number(ceiling["iou"][row["name"]]), _share(row["wrong"], row["pixels"])
        table.add_row(row["name"], *figures, *shares)
    means = _number(results["mean_iou"]), _number(ceiling["mean_iou"]), _share(results["wrong"], valid)
    footers = ("all", *means, *(_share(results["kinds"][kind]["pixels"], valid) for kind in kinds))
    table.add_section()
    table.add_row(*footers)
    return table


def _size_table(results: dict[str, Any]) -> Any:
    kinds, of_field = tuple(results["kinds"]), "of_field" in results["sizes"][0]
    table = _table("side, px", (*(("of field",) if of_field else ()), "objects", "missed", "wrong", *kinds))
    for row in results["sizes"]:
        place = 0 if row["side"][1] is None else 1
        side = f"{'to' if place else 'above'} {row['side'][place]}"
        field = (f"{row['of_field'][place]:.0%}",) if of_field else ()
        wrong = _share(sum(row["kinds"].values()), row["pixels"])
        missed = _share(row["missed"], row["objects"])
        shares = (_share(row["kinds"][kind], row["pixels"]) for kind in kinds)
        table.add_row(side, *field, f"{row['objects']:,}", missed, wrong, *shares)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole * 100:.2f}" if whole else "-"


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
