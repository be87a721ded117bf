"""Telling a person how long work goes: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, Self, TextIO


class Reporter(Protocol):
    """Where long work speaks to: training, evaluating, looking through a data set."""

    def line(self, text: str) -> None:
        """Says one line."""

    def step(self, done: int, total: int, text: str = "") -> None:
        """Says how far it is; it may raise to stop the work."""


class Silent:
    """Says nothing; for use as a library."""

    def line(self, text: str) -> None: ...

    def step(self, done: int, total: int, text: str = "") -> None: ...


class Plain:
    """Lines without control characters, at most one of progress every `every` seconds.

    Args:
        what: what is counted.
        every: seconds.
        stream: where to; None is standard output.
    """

    def __init__(self, what: str = "step", every: float = 15.0, stream: TextIO | None = None) -> None:
        self.what, self.every, self.stream = what, every, stream
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        print(text, file=self.stream or sys.stdout, flush=True)

    def step(self, done: int, total: int, text: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= self.every or (done == total and text):
            self._last = now
            self.line(f"{self.what} {done}/{total}  {text}".rstrip())


class Bar:
    """A rich progress bar; use as a context manager.

    Args:
        what: what is counted, shown where `step` is given no text.
        stream: where to; None is standard output.
    """

    def __init__(self, what: str = "", stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}")
        self._progress = Progress(*columns, transient=True, console=Console(file=stream or sys.stdout))
        self._what, self._task = what, self._progress.add_task(what, total=None)

    def line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)

    def step(self, done: int, total: int, text: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, description=text or self._what)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._progress.stop()


def for_user(what: str, stream: TextIO | None = None) -> AbstractContextManager[Reporter]:
    """A bar where the stream (None: standard output) is a person's terminal, else plain lines."""
    if (stream or sys.stdout).isatty():
        return Bar(what, stream)
    return nullcontext(Plain(what, stream=stream))


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
