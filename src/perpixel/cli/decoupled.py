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
    classifier_steps: Annotated[int, typer.Option(min=0, help="Of stage 1, which classes an image shows.")] = 10_000,
    mask_steps: Annotated[int, typer.Option(min=0, help="Of stage 2, where a class is.")] = 7_500,
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
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
) -> None:
    """Train DecoupledNet: which classes an image shows, from many; where they are, from few masks (NIPS 2015).

    The defaults are the paper's lengths, for a GPU. On a CPU make it narrow: --set width=16 --set batch_norm=true.
    """
    from perpixel.cli.train import assignments, size
    from perpixel.core.errors import UserError
    from perpixel.train.decoupled import SGD, Decoupled, train_decoupled
    from perpixel.train.image_labels import read_image_labels
    from perpixel.train.recipe import OptimiserPart

    if (out / "best").exists():
        raise UserError(f"{out} holds a run already; give another folder with --out")
    height, width = size(crop)
    how = Decoupled(
        masks_per_class=masks_per_class,
        size=(height, width),
        steps=(classifier_steps, mask_steps),
        batch_size=batch_size,
        least_share=least_share,
        optimisers=(OptimiserPart(lr=classifier_lr), SGD.model_copy(update={"lr": mask_lr})),
        options=assignments(set_ or []),
        init=from_,
        seed=seed,
    )
    done = train_decoupled(data, out, how, read_image_labels(labels) if labels else None, device=device)
    print(f"model     {done.bundle}; next: perpixel evaluate {out} {data}, perpixel predict IMAGE --model {out}")
