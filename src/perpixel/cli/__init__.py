"""The command line: one small file a verb, torch imported only by the verbs that need it.

Exit status: 0 done; 1 a fault of perpixel; 2 the user's input, said in one or two lines; 75 interrupted with a checkpoint saved.
"""

import errno
import sys
import traceback
from typing import Annotated

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
from perpixel.core.errors import Interrupted, UserError

INTERRUPTED = 75
_OUTSIDE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
)
"""What a system says of a folder that cannot be written to; no fault of ours."""

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


def main() -> None:
    """The `perpixel` command."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        sys.argv.remove("--debug")  # it may stand anywhere
    try:
        app()
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"perpixel: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("perpixel: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as head does
        sys.exit(0)
    except Interrupted:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in _OUTSIDE:
            print(f"perpixel: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
            sys.exit(2)
        print(
            f"perpixel: a fault of ours: {type(error).__name__}: {error}\n(run again with --debug for details)",
            file=sys.stderr,
        )
        sys.exit(1)
