"""perpixel report: one self-contained HTML page about a run."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    data: Annotated[str | None, typer.Option(help="Data to measure on; the run's own by default.")] = None,
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
) -> None:
    """Write RUN/report.html: curves, per-class figures, confusion, worst and median images."""
    from perpixel.core.reporter import for_user
    from perpixel.report import write_report

    with for_user("measured", sys.stderr) as reporter:
        page = write_report(run, data, split, reporter)
    print(f"report    {page}")
