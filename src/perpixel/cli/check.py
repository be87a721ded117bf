"""perpixel check: what is in a data folder, what is wrong with it, and a dataset.yaml to start from."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from perpixel.data.check import Checked
    from perpixel.data.faults import Finding

SHOWN_FILES = 10
SHOWN_VALUES = 40


def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images and masks, or a dataset.yaml.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write the starter dataset.yaml; an existing one is kept.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="REGEX", help="What in a name, from its beginning, is its group: '([^_]+)_'."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page with a picture of each fault.")
    ] = None,
) -> None:
    """Look at images, masks and classes. The exit status is 2 if there is a defect."""
    from rich.console import Console

    from perpixel.core.files import ready
    from perpixel.core.reporter import for_user
    from perpixel.data.check import check_dataset

    if report is not None:
        ready(report)
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)
    with for_user("checking", sys.stderr) as reporter:
        checked = check_dataset(data, reporter, group)
    _show_contents(console, checked)
    _show_findings(console, "defect", checked.defects)
    _show_findings(console, "warning", checked.warnings)
    _show_starter(console, checked, Path(data), write)
    if report is not None:
        _write_report(console, report, checked)
    _say(console, _verdict(checked))
    if checked.defects:
        raise typer.Exit(2)


def _say(console: "Console", *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)  # paths must survive a narrow terminal


def _show_contents(console: "Console", checked: "Checked") -> None:
    from rich import box
    from rich.table import Table

    from perpixel.data.check import overview
    from perpixel.data.meaning import show

    _say(console, *(f"{what:10}{words}" for what, words in overview(checked)))
    if not checked.classes:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    table.add_column("mask values")
    table.add_column("pixels", justify="right")
    table.add_column("images", justify="right")
    for row in checked.classes if checked.meaning.taxonomy else checked.classes[:SHOWN_VALUES]:
        table.add_row(row.name, _shortened(row.values), f"{row.pixels:.2%}", f"{row.images:.1%}")
    console.print(table)
    hidden = checked.meaning.values.distinct - SHOWN_VALUES
    if checked.meaning.taxonomy is None and hidden > 0:
        _say(console, f"and {hidden} more values", "")
    if checked.meaning.taxonomy is not None:
        ignore = _shortened(" ".join(map(show, checked.meaning.taxonomy.ignore))) or "none"
        _say(console, f"{len(checked.classes)} classes; ignored {checked.ignored:.2%} of the pixels (values {ignore})")


def _shortened(values: str) -> str:
    return values if len(values) <= 60 else values[:57].rsplit(" ", 1)[0] + " ..."


def _show_findings(console: "Console", kind: str, findings: "Iterable[Finding]") -> None:
    for finding in findings:
        _say(console, "", f"{kind}: {finding.text}")
        _say(console, *(f"    {file}" for file in finding.files[:SHOWN_FILES]))
        if len(finding.files) > SHOWN_FILES:
            _say(console, f"    and {len(finding.files) - SHOWN_FILES} more")
        _say(console, f"  fix: {finding.fix}")


def _show_starter(console: "Console", checked: "Checked", data: Path, write: bool) -> None:
    from perpixel.core.files import write_text
    from perpixel.data.starter import starter

    file = data if data.is_file() else data / "dataset.yaml"
    text, exists = starter(checked), file.exists()
    _say(console, "")
    if text is None:
        _say(console, "no starter dataset.yaml: there must be masks with exact values first")
    elif exists and not checked.meaning.needs_names:
        if write:
            _say(console, f"{file} is there already and stays as it is")
    elif exists:
        _say(console, f"{file} names no classes, and the masks do not say what their values mean; add to it:", "", text)
    elif write:
        write_text(file, text)
        _say(console, f"wrote {file}")
    else:
        _say(console, f"a dataset.yaml to start from (perpixel check {data} --write puts it there):", "", text)
    if text is not None and checked.meaning.needs_names and not exists:
        done = "" if write else f"perpixel check {data} --write, then "
        _say(console, f"next: {done}give the classes in {file} their names; then perpixel train {data}")


def _write_report(console: "Console", file: Path, checked: "Checked") -> None:
    from perpixel.report.check_page import write_check_page

    _say(console, f"wrote {write_check_page(file, checked)}")


def _verdict(checked: "Checked") -> str:
    n, w = len(checked.defects), len(checked.warnings)
    warned = f", {w} warning{'s' * (w > 1)}" if w else ""
    return f"{n} defect{'s' * (n > 1)}{warned}" if n else f"no defect found{warned}"
