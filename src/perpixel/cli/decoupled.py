"""perpixel decoupled: train on many images whose classes are known, and masks of a few."""

from pathlib import Path
from typing import Annotated

import typer


def decoupled(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    masks_per_class: Annotated[int, typer.Option(min=1, help="Use the masks of so many images for each class.")] = 10,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help='More images, without masks: lines of "image,classes", as a.jpg,person;car.'),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Start from this run's or bundle's weights, where they fit."),
    ] = None,
    crop: Annotated[str, typer.Option(metavar="HxW", help="The size of training samples.")] = "320x320",
    classifier_steps: Annotated[
        int | None, typer.Option(min=0, help="Of stage 1, which classes an image shows (10,000 unless given).")
    ] = None,
    mask_steps: Annotated[
        int | None, typer.Option(min=1, help="Of stage 2, where a class is (7,500 unless given).")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train about so many minutes instead, half of them for each stage.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 16,
    classifier_lr: Annotated[float, typer.Option(help="The highest learning rate of stage 1 (AdamW).")] = 1e-3,
    mask_lr: Annotated[float, typer.Option(help="The highest learning rate of stage 2 (SGD).")] = 1e-2,
    least_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of an image's pixels, what a class needs to count as shown.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the network, as width=16.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Train DecoupledNet: which classes an image shows, from many; where they are, from few masks (NIPS 2015).

    Ctrl-C saves a checkpoint; perpixel train --resume RUN goes on. The defaults are the paper's lengths, for a GPU. On a CPU
    make it narrow: --set width=16 --set batch_norm=true.
    """
    from perpixel.cli.train import assignments, finish, size
    from perpixel.core.errors import UserError
    from perpixel.core.reporter import for_user
    from perpixel.train import train
    from perpixel.train.objectives.decoupled_job import decoupled_recipe

    if minutes is not None and mask_steps is not None:
        raise UserError("--minutes and --mask-steps both say how long stage 2 is; give one of them")
    if classifier_steps is None and minutes is None:
        classifier_steps = 10_000
    given = {
        "data.path": data,
        "data.crop": size(crop),
        "init": from_,
        "minutes": minutes,
        "steps": None if minutes else mask_steps or 7_500,
        "batch_size": batch_size,
        "seed": seed,
        "optimiser.lr": mask_lr,
        "decoupled.classifier_optimiser.lr": classifier_lr,
        "decoupled.classifier_steps": classifier_steps,
        "decoupled.masks_per_class": masks_per_class,
        "decoupled.least_share": least_share,
        "decoupled.image_labels": str(labels.resolve()) if labels else None,
        "model.options": assignments(set_ or []),
    }
    recipe = decoupled_recipe().changed(given)
    with for_user("step") as reporter:
        trained = train(recipe, out, reporter)
    finish(trained, report)
