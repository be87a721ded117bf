"""perpixel convert: what others made, in perpixel's own form."""

from pathlib import Path
from typing import Annotated

import typer

convert = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Turn what others made into perpixel's own form."
)


@convert.callback()
def _group() -> None:
    """Turn what others made into perpixel's own form."""


@convert.command()
def weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint: safetensors, or a pickle (see below).")],
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="Whose it is, such as fyu/drn; ? lists them.")
    ],
    out: Annotated[Path | None, typer.Option(help="The bundle's folder; FILE without its ending unless given.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="voc, cityscapes, ade20k, camvid, names: a,b,c, or a taxonomy's file.")
    ] = None,
    num_classes: Annotated[
        int | None, typer.Option(min=1, help="With a fresh head, where it is another number.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="Which network, for weights that fit several.")] = None,
    options: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of it.")] = None,
    licence: Annotated[str, typer.Option(help="Of the weights; written into the bundle.")] = "",
    unsafe_pickle: Annotated[
        bool, typer.Option("--unsafe-pickle", help="Read a pickle, which can run code: only from those you trust.")
    ] = False,
) -> None:
    """Turn a checkpoint of another code into a bundle that evaluate, predict and train take."""
    from perpixel.bundle.convert import convert_weights
    from perpixel.cli.train import assignments
    from perpixel.core.errors import UserError
    from perpixel.models.ports import SOURCES

    if source == "?":
        for name, known in SOURCES.items():
            print(f"{name}: {known.about}" + (f" (--network {'|'.join(known.networks)})" if known.networks else ""))
        return
    folder = out or file.with_suffix("")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; give another folder with --out")
    ported, taxonomy = convert_weights(
        file,
        source,
        folder,
        classes=_names(classes),
        num_classes=num_classes,
        network=network,
        options=assignments(options or []),
        licence=licence,
        unsafe_pickle=unsafe_pickle,
    )
    parameters = sum(p.numel() for p in ported.model.parameters())
    print(
        f"{folder}: {ported.reading.network}, {parameters:,} parameters, {taxonomy.num_classes} classes, from {source}"
    )
    for note in ported.notes:
        print(note)


def _names(classes: str | None) -> str | None:
    """What --classes was given, with a taxonomy's file read."""
    from perpixel.labels import read_mapping

    is_file = classes is not None and classes.endswith((".yaml", ".yml"))
    return ",".join(read_mapping(str(classes)).classes.names) if is_file else classes


@convert.command()
def taxonomy(
    file: Annotated[Path, typer.Argument(metavar="TABLE", help="MSeg's table of classes, MSeg_master.tsv.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; of TABLE's name, with .yaml, unless given.")
    ] = None,
) -> None:
    """Turn MSeg's table into a taxonomy that evaluate, predict and train take by --taxonomy."""
    from perpixel.core.errors import UserError
    from perpixel.core.files import ready
    from perpixel.labels import read_mseg

    place = out or Path(file.name).with_suffix(".yaml")
    if place.exists():
        raise UserError(f"{place} is there already; give another file with --out")
    ready(place)
    common = read_mseg(file)
    common.save(place)
    print(f"{place}: {common.classes.num_classes} common classes, {len(common.sets)} sets: {', '.join(common.sets)}")


@convert.command()
def data(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Whatever perpixel check takes: a folder, a file of annotations.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write, a new one.")],
    form: Annotated[
        str, typer.Option("--as", help="index (masks whose value is the class), colour, or coco.")
    ] = "index",
    overlap: Annotated[
        str, typer.Option(help="Who wins where shapes overlap: last, first, small, large, ignore.")
    ] = "",
) -> None:
    """Turn data of any form that is read into images and masks, or into COCO's runs; labels stay equal to the pixel."""
    import sys

    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.data.writing import write_dataset

    dataset = open_dataset(data, overlap)
    for note in dataset.notes:
        print(note, file=sys.stderr)
    with for_user("converting", sys.stderr) as reporter:
        counts = write_dataset(dataset, to, form, reporter)
    names = dataset.taxonomy.names if dataset.taxonomy else ()
    print(f"{to}: {', '.join(f'{s} {n} pairs' for s, n in counts.items())}, {len(names)} classes, as {form}")
