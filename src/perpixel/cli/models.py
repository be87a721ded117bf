"""perpixel models: every network by name, and the bundled models."""

import shutil
import sys
from typing import Annotated

import typer


def models(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/models.md instead.")] = False,
) -> None:
    """List the networks that can be trained and the models that come with perpixel."""
    from perpixel.analyze.table import markdown as page

    if markdown:
        print(page(), end="")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None  # whole lines in a file or a pipe
    for line in _table() + _bundled():
        print(line[:width])


def _table() -> list[str]:
    """The heading and a line for each network."""
    from perpixel.analyze.table import NUM_CLASSES, SIZE, camvid, giga, read_measured, read_networks

    layout = "{:<22} {:>11} {:>13} {:>6}  {:<13} {}"
    measured = read_measured()
    lines = [
        f"{NUM_CLASSES} classes; multiply-adds of one image of {SIZE[0]}x{SIZE[1]}; stride of the map of scores",
        layout.format("network", "parameters", "multiply-adds", "stride", "CamVid mIoU", "paper"),
    ]
    for name, n in read_networks().items():
        cost = (f"{n.parameters:,}", giga(n.multiply_adds), n.output_stride or "-")
        lines.append(layout.format(name, *cost, camvid(measured, name), f"{n.year} {n.paper}"))
    return lines


def _bundled() -> list[str]:
    """A line for each bundled model."""
    from perpixel.bundle.folder import BUNDLED
    from perpixel.bundle.info import INFO, read_info

    lines = []
    for folder in sorted(p for p in BUNDLED.iterdir() if (p / INFO).is_file()) if BUNDLED.is_dir() else []:
        info = read_info(folder)
        figure = info.metrics.get("mean_iou")
        measured = f", mIoU {figure:.3f} on {info.data.get('name')} {info.metrics.get('split')}" if figure else ""
        lines.append(f"bundled: {folder.name} ({info.network}, {info.classes.num_classes} classes{measured})")
    return lines
