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
    from perpixel.train import Recipe, Trained


def train(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...", help="A folder of images and masks, or a dataset.yaml; several by --taxonomy."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The network, fast_scnn unless given; see perpixel models.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="The network's encoder, any of timm's, where it takes one.")
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            metavar="auto|FILE|NAME|no", help="Where the encoder's weights are from; see docs/checkpoints.md."
        ),
    ] = None,
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
    taxonomy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Train in the common classes of this taxonomy, on each DATA alike."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="How much of each DATA is drawn, such as 2,1; alike unless given."),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Train a model. Ctrl-C saves a checkpoint and exits with 75; --resume RUN goes on."""
    from perpixel.core.reporter import for_user
    from perpixel.train import default_recipe, load_recipe
    from perpixel.train import resume as resume_run
    from perpixel.train import train as train_run

    asked = {"yes": "auto", "no": False}.get(pretrained, pretrained) if pretrained is not None else None
    overrides = (
        model,
        encoder,
        pretrained,
        out,
        recipe,
        from_,
        epochs,
        minutes,
        batch_size,
        lr,
        crop,
        seed,
        set_,
        taxonomy,
        weights,
    )
    if resume is not None and any(given not in (None, []) for given in overrides):
        raise UserError(
            "--resume RUN goes on by the recipe in RUN; leave out the other options (DATA says where the data has moved to)"
        )
    with for_user("step") as reporter:
        if resume is not None:
            trained = resume_run(resume, reporter, data)
        else:
            chosen = load_recipe(recipe) if recipe else default_recipe(model or "fast_scnn")
            given = {
                "model.name": model,
                "model.options.encoder": encoder,
                "model.options.pretrained": asked,
                "batch_size": batch_size,
                "optimiser.lr": lr,
                "seed": seed,
                "init": from_,
                "epochs": epochs,
                "minutes": minutes,
            }
            changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
            chosen = _with_data(chosen, data or [], taxonomy, weights)
            if crop is not None:
                changes["data.crop"] = size(crop)
            chosen = chosen.changed({**changes, **assignments(set_ or [])})
            trained = train_run(chosen, out or _new_folder(chosen), reporter)
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


def _with_data(recipe: "Recipe", data: list[str], taxonomy: Path | None, weights: str | None) -> "Recipe":
    """The recipe for these data sets: one, several in a common taxonomy, or those of the recipe where they are now."""
    from perpixel.labels import read_mapping
    from perpixel.train.mixture import mixture_of, moved

    if taxonomy is not None:
        if not data:
            raise UserError("--taxonomy FILE goes with DATA, the folders or files of its sets; give one or more")
        mixture = mixture_of(read_mapping(taxonomy), data, _numbers(weights) if weights else None)
        return recipe.changed({"data.path": "", "mixture": mixture})
    if weights or (len(data) > 1 and recipe.mixture is None):
        raise UserError("several DATA and --weights go with --taxonomy FILE, which says what their classes are")
    if recipe.mixture is not None:
        return moved(recipe, data) if data else recipe
    if not data:
        raise UserError(
            "give DATA, a folder of images and masks (or --resume RUN); perpixel check DATA says what is in it"
        )
    return recipe.changed({"data.path": data[0]})


def _numbers(weights: str) -> list[float]:
    try:
        return [float(w) for w in weights.split(",")]
    except ValueError as error:
        raise UserError(f'--weights takes a number for each DATA, such as 2,1; got "{weights}"') from error


def _new_folder(recipe: "Recipe") -> Path:
    data = re.sub(r"[^\w-]+", "-", recipe.mixture.common.name) if recipe.mixture else Path(recipe.data.path).stem
    base = Path("runs") / f"{data}-{recipe.model.name}-{datetime.now():%Y%m%d-%H%M%S}"
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
