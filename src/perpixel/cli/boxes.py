"""What `perpixel evaluate` and `perpixel predict` do with a detector."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from perpixel.core.errors import UserError


def task_of(model: str) -> str:
    """The task of a run, a bundle or a bundled model: "segmentation" or "detection".

    Raises:
        UserError: there is no such model.
    """
    from perpixel.bundle import find_bundle, read_info

    return read_info(find_bundle(model)).task


def evaluate_boxes(model: str, data: str, split: str | None, out: Path | None, device: str) -> None:
    """Average precision on a split, as a table and as JSON."""
    from perpixel.bundle import find_bundle, read_info
    from perpixel.core.files import write_text
    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.data.measured import default_split
    from perpixel.infer.detector import load_detector
    from perpixel.infer.evaluate_boxes import evaluate_boxes as run

    predictor, dataset = load_detector(model, device), open_dataset(data)
    for note in dataset.notes:
        print(f"left out  {note}")
    split = split or default_split(dataset, read_info(find_bundle(model)).data)
    with for_user("evaluated", sys.stderr) as report:
        measured = run(predictor, dataset.split(split), dataset.classes, report)
    results = {"model": model, "data": dataset.name, "split": split, "images": len(measured.images), **measured.results}
    for note in measured.notes:
        print(f"read      {note}")
    _show(results, predictor.names)
    if out is not None:
        write_text(out, json.dumps(results, indent=2) + "\n")


def _show(results: dict[str, Any], names: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    coco = results["coco"]
    columns = {
        "AP": (coco["ap"], coco["per_class"]),
        "AP50": (coco["ap50"], coco["ap50_per_class"]),
        "VOC07": (results["voc07"]["mean"], results["voc07"]["per_class"]),
        "VOC10": (results["voc10"]["mean"], results["voc10"]["per_class"]),
    }
    table = Table("class", "objects", show_footer=True)
    table.columns[0].footer, table.columns[1].footer = "mean", str(sum(results["objects"]))
    table.columns[1].justify = "right"
    for key, (mean, _) in columns.items():
        table.add_column(key, _number(mean), justify="right")
    for k, name in enumerate(names):
        table.add_row(name, str(results["objects"][k]), *(_number(values[k]) for _, values in columns.values()))
    Console(highlight=False).print(table)
    sizes = "  ".join(f"AP {size} {_number(coco[f'ap_{size}'])}" for size in ("small", "medium", "large"))
    print(f"AP {_number(coco['ap'])}  AP50 {_number(coco['ap50'])}  AP75 {_number(coco['ap75'])}  {sizes}")
    print(f"{results['images']} images of {results['data']}, split {results['split']}: {results['convention']}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def predict_boxes(jobs: Sequence[tuple[Path, Path]], model: str, out: Path, device: str) -> None:
    """Pictures with boxes, and `boxes.json`, for images and the names that their results begin with."""
    from perpixel.cli.images import notes, refuse_overwriting
    from perpixel.core.files import clean_leftovers, write_text
    from perpixel.core.reporter import for_user
    from perpixel.infer.detector import DRAWN, coco_file, load_detector

    refuse_overwriting((file for file, _ in jobs), (place for _, place in jobs), out, [DRAWN])
    predictor = load_detector(model, device)
    out.mkdir(parents=True, exist_ok=True)
    clean_leftovers(out)
    found, failed = [], {}
    with for_user("predicted", sys.stderr) as reporter:
        for n, (file, stem) in enumerate(jobs):
            reporter.step(n, len(jobs))
            try:
                boxes = predictor.predict(file)
                boxes.save((out / stem).parent, stem.name)
                found.append((str(file), boxes))
            except (UserError, MemoryError, RuntimeError) as error:
                failed[str(file)] = _reason(error, file)
                print(f"perpixel: {failed[str(file)]}", file=sys.stderr)
        reporter.step(len(jobs), len(jobs))
    write_text(out / "boxes.json", json.dumps(coco_file(found, predictor.names), indent=1) + "\n")
    for name, boxes in found:
        counts = ", ".join(f"{n} {k}" for k, n in boxes.summary()["objects"].items()) or "nothing"
        print(f"{name}: {counts}")
    for line in notes({name: {"notes": boxes.notes} for name, boxes in found}):
        print(line)
    print(
        f"{len(found)} of {len(jobs)} images predicted; pictures (boxes of score 0.5 and more) and boxes.json, "
        f"in COCO's form, are in {out}"
    )
    if failed:
        raise typer.Exit(2)


def _reason(error: Exception, file: Path) -> str:
    """The line about one image; anything but bad input and too little memory is a fault of ours and goes on up."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return f"{file}: too large for the memory of this machine"
    raise error
