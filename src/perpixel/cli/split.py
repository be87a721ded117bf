"""perpixel split: train.txt and val.txt that keep groups (sequences, patients, scenes) together."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from perpixel.data.splitting import Split


def split(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images/ and masks/.")],
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="REGEX", help="What in a name, from its beginning, is its group: '([^_]+)_'."),
    ] = None,
    val: Annotated[float, typer.Option("--val", help="Share of val.")] = 0.2,
    test: Annotated[float, typer.Option("--test", help="Share of test; 0 makes none.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The order among groups of one size.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over lists that are there.")] = False,
) -> None:
    """Write lists of train and val by groups, the classes shared out evenly."""
    from perpixel.core.reporter import for_user
    from perpixel.data.splitting import make_split, parts_of, write_lists

    parts = parts_of(val, test)
    with for_user("splitting", sys.stderr) as reporter:
        dataset, made = make_split(Path(data), parts, group, seed, reporter)
    files = write_lists(dataset, made, overwrite)
    _show(made)
    print(f"wrote {', '.join(str(file) for file in files)}")


def _show(made: "Split") -> None:
    """Samples and groups of each split, and the share of its labelled pixels that each class has."""
    for name, names in made.names.items():
        print(f"{name:10}{len(names)} pairs in {made.groups[name]} groups")
    width = max(len(name) for name in ("class", *made.taxonomy.names))
    print(f"{'class':{width}}" + "".join(f"{name:>10}" for name in made.names))
    for k, name in enumerate(made.taxonomy.names):
        shares = (row[k] / max(row.sum(), 1) for row in made.pixels)
        print(f"{name:{width}}" + "".join(f"{share:>10.2%}" for share in shares))
