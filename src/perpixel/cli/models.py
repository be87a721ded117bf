"""perpixel models: every network by name, and the bundled models. The lists are read from JSON: torch is not imported."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import perpixel
from perpixel.core.errors import UserError
from perpixel.core.networks import NUM_CLASSES, SIZE


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One network, run or bundle: what it costs, by layer.")
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Of the image; 512x512 unless given.")] = None,
    fields: Annotated[bool, typer.Option("--fields", help="Show receptive fields in theory, in pixels.")] = False,
    classes: Annotated[int, typer.Option(min=1, help="Of a network by name.")] = NUM_CLASSES,
    channels: Annotated[int, typer.Option(min=1, help="Of a network by name.")] = 3,
    depth: Annotated[int, typer.Option(min=0, help="Add layers up to so many parts of their names; 0: each.")] = 2,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/models.md instead.")] = False,
) -> None:
    """List the networks that can be trained, by their task, and the models that come with perpixel; or show one."""
    from perpixel.cli import networks

    if markdown:
        print(networks.markdown(), end="")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None  # whole lines in a file or a pipe
    if name is not None:
        lines = _one(name, size, fields, classes, channels, depth)
    elif size is not None:
        raise UserError(f"--size {size}: of which network? perpixel models NAME --size {size}")
    else:
        lines = networks.field_lines() if fields else networks.lines() + networks.detector_lines() + _bundled()
    for line in lines:
        print(line[:width])


def _one(name: str, size: str | None, fields: bool, classes: int, channels: int, depth: int) -> list[str]:
    from perpixel.cli import network
    from perpixel.cli.train import size as read_size

    if fields:
        return network.field_lines(name, classes, channels)
    height, width = SIZE if size is None else read_size(size, "--size")
    return network.cost_lines(name, (height, width), classes, channels, depth)


def _bundled() -> list[str]:
    """A line for each bundled model."""
    return [
        _described(file.parent.name, json.loads(file.read_text(encoding="utf-8")))
        for file in sorted((Path(perpixel.__file__).parent / "weights").glob("*/model.json"))
    ]


def _described(name: str, info: dict[str, Any]) -> str:
    figure = info["metrics"].get("mean_iou")
    measured = f", mIoU {figure:.3f} on {info['data'].get('name')} {info['metrics'].get('split')}" if figure else ""
    return f"bundled: {name} ({info['network']}, {len(info['taxonomy']['classes'])} classes{measured})"
