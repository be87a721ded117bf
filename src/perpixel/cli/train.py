"""perpixel train: images and masks in, a run folder out."""

import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perpixel.core.errors import Interrupted, UserError

if TYPE_CHECKING:
    from perpixel.train import Trained


def train(
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The network, fast_scnn unless given; see perpixel models.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/DATA-MODEL-TIME by default.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe to follow instead of the model's default.")] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Start from this run's or bundle's weights, where they fit."),
    ] = None,
    epochs: Annotated[float | None, typer.Option(min=0, help="Train so many epochs (50 unless given).")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Train so many minutes, by the clock.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    crop: Annotated[str | None, typer.Option(metavar="HxW", help="The size of training samples.")] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, such as data.rotate=10."),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Train a model. Ctrl-C saves a checkpoint and exits with 75; --resume RUN goes on."""
    from perpixel.core.reporter import for_user
    from perpixel.train import default_recipe, load_recipe
    from perpixel.train import resume as resume_run
    from perpixel.train import train as train_run

    overrides = (model, out, recipe, from_, epochs, minutes, batch_size, lr, crop, seed, set_)
    if resume is not None and any(given not in (None, []) for given in overrides):
        raise UserError(
            "--resume RUN goes on by the recipe in RUN; leave out the other options (DATA says where the data has moved to)"
        )
    with for_user("step") as reporter:
        if resume is not None:
            trained = resume_run(resume, reporter, data)
        else:
            if data is None:
                raise UserError(
                    "give DATA, a folder of images and masks (or --resume RUN); perpixel check DATA says what is in it"
                )
            chosen = load_recipe(recipe) if recipe else default_recipe(model or "fast_scnn")
            given = {
                "model.name": model,
                "data.path": data,
                "batch_size": batch_size,
                "optimiser.lr": lr,
                "seed": seed,
                "init": from_,
                "epochs": epochs,
                "minutes": minutes,
            }
            changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
            if crop is not None:
                changes["data.crop"] = size(crop)
            chosen = chosen.changed({**changes, **assignments(set_ or [])})
            trained = train_run(chosen, out or _new_folder(data, chosen.model.name), reporter)
    finish(trained, report)


def finish(trained: "Trained", report: bool) -> None:
    """What comes after training: the report, where it is wanted."""
    if report and os.environ.get("RANK", "0") == "0":  # under torchrun one process writes it
        try:
            from perpixel.core.reporter import for_user
            from perpixel.report import write_report

            with for_user("measured for the report", sys.stderr) as reporter:
                page = write_report(trained.run, report=reporter)
        except KeyboardInterrupt:
            print(
                f"perpixel: the model is whole, its report is not written: perpixel report {trained.run}",
                file=sys.stderr,
            )
            raise Interrupted from None
        print(f"report    {page}")


def _new_folder(data: str, model: str) -> Path:
    base = Path("runs") / f"{Path(data).resolve().stem}-{model}-{datetime.now():%Y%m%d-%H%M%S}"
    n = 2
    folder = base
    while folder.exists():
        folder, n = base.with_name(f"{base.name}-{n}"), n + 1
    return folder


def size(text: str, option: str = "--crop") -> list[int]:
    """What --crop was given: HxW (or H,W), or one number for both sides, as [H, W].

    Raises:
        UserError: anything else.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,5}([x,][1-9][0-9]{0,5})?", text.lower(), re.ASCII):
        raise UserError(f'{option} takes HEIGHTxWIDTH in pixels, such as 352x480; got "{text}"')
    parts = re.split("[x,]", text.lower())
    return [int(p) for p in (parts * 2)[:2]]


def assignments(pairs: list[str]) -> dict[str, Any]:
    """What --set was given, KEY=VALUE each, as keys with YAML values.

    Raises:
        UserError: a pair without "=", or a value that is no YAML.
    """
    from perpixel.core.yaml import parse_yaml

    found: dict[str, Any] = {}
    for text in pairs:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f'--set takes KEY=VALUE, such as optimiser.lr=0.01; got "{text}"')
        found[key.strip()] = parse_yaml(value, f"--set {key.strip()}")
    return found
