"""perpixel models: every network by name, and the bundled models. All is read from JSON: torch is not imported."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import perpixel


def models(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/models.md instead.")] = False,
) -> None:
    """List the networks that can be trained, by their task, and the models that come with perpixel."""
    from perpixel.cli import networks

    if markdown:
        print(networks.markdown(), end="")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None  # whole lines in a file or a pipe
    for line in networks.lines() + networks.detector_lines() + _bundled():
        print(line[:width])


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
