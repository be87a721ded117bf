"""The command line: one small file a verb, torch imported only by the verbs that need it.

Exit status: 0 done; 1 a fault of perpixel; 2 the user's input, said in one or two lines; 75 interrupted with a checkpoint saved;
130 and 143 interrupted by Ctrl-C or SIGTERM with nothing to go on from. Output that nobody reads any more changes none of these.
"""

import errno
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Annotated, Any

import typer

import perpixel
from perpixel.cli import (
    check,
    compare,
    convert,
    decoupled,
    demo,
    errors,
    evaluate,
    explain,
    fields,
    models,
    predict,
    report,
    train,
)
from perpixel.cli.streams import lasting_streams
from perpixel.core.errors import Interrupted, UserError, is_out_of_memory

INTERRUPTED = 75
LONGEST = 300
_OUTSIDE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
"""What a system says of a file that cannot be read or written; no fault of ours."""

app = typer.Typer(
    name="perpixel",
    help="Semantic segmentation on your own images: check, train, evaluate, predict, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (demo, check, train, evaluate, predict, report, errors, compare, explain, fields, models, decoupled):
    app.command(verb.__name__.rsplit(".", 1)[1])(getattr(verb, verb.__name__.rsplit(".", 1)[1]))
app.add_typer(convert.convert, name="convert")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"perpixel {perpixel.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    pass


class Terminated(KeyboardInterrupt):
    """SIGTERM, where no run is there to heed it."""


def main() -> None:
    """The `perpixel` command."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        sys.argv.remove("--debug")  # it may stand anywhere
    with lasting_streams(), _terminable():
        try:
            _refuse_empty(sys.argv[1:])
            _run()
        except Interrupted:
            sys.exit(INTERRUPTED)
        except KeyboardInterrupt as error:
            print("perpixel: interrupted", file=sys.stderr)
            sys.exit(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))
        except Exception as error:
            if debug:
                traceback.print_exc()
            line = _outside(error)
            if line:
                print(f"perpixel: {line}", file=sys.stderr)
                sys.exit(2)
            fault = f"{type(error).__name__}: {error}"
            print(f"perpixel: a fault of ours: {fault}\n(run again with --debug for details)", file=sys.stderr)
            sys.exit(1)


def _run() -> None:
    """The app; typer makes of an interrupt an exit without a word, which is taken back."""
    try:
        app()
    except SystemExit as end:
        cause = end.__context__ and end.__context__.__cause__
        if isinstance(cause, KeyboardInterrupt):
            raise cause from None
        raise


@contextmanager
def _terminable() -> Iterator[None]:
    """Within: SIGTERM ends the work as Ctrl-C does, so that nothing half-written stays."""

    def end(*_: Any) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_empty(arguments: list[str]) -> None:
    """Raises UserError for an empty argument, which a shell makes of a variable that is not set."""
    for before, argument in pairwise(["perpixel", *arguments]):
        name = before if argument == "" else argument[:-1]
        if argument == "" or (argument.startswith("--") and argument.find("=") == len(argument) - 1):
            raise UserError(f"what follows {name} is empty; give a value, or leave it out")


def _outside(error: Exception) -> str:
    """The line about an error that is the user's or the system's and not a fault of ours; else nothing."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _OUTSIDE:
        return f"{str(error.filename or 'a file')[:LONGEST]}: {error.strerror}"
    if is_out_of_memory(error):
        return "not enough memory; close other programs, or take smaller images, a smaller crop or a smaller batch"
    return ""
