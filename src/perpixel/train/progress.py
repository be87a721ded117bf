"""Telling a person how a run goes: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self


class Reporter(Protocol):
    """Where a run speaks to."""

    def line(self, text: str) -> None:
        """Says one line."""

    def step(self, step: int, steps: int, text: str) -> None:
        """Says how far it is."""


class Silent:
    """Says nothing; for use as a library."""

    def line(self, text: str) -> None: ...

    def step(self, step: int, steps: int, text: str) -> None: ...


class Plain:
    """Lines without control characters, at most one of progress every `every` seconds."""

    def __init__(self, every: float = 15.0) -> None:
        self.every, self._last = every, time.monotonic()

    def line(self, text: str) -> None:
        print(text, flush=True)

    def step(self, step: int, steps: int, text: str) -> None:
        if time.monotonic() - self._last >= self.every or step == steps:
            self._last = time.monotonic()
            print(f"step {step}/{steps}  {text}", flush=True)


class Bar:
    """A rich progress bar; use as a context manager."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._progress = Progress(BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"), transient=True)
        self._task = self._progress.add_task("", total=None)

    def line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)

    def step(self, step: int, steps: int, text: str) -> None:
        self._progress.update(self._task, completed=step, total=steps, description=text)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._progress.stop()


def on_terminal() -> bool:
    """Whether standard output is a person's terminal."""
    return sys.stdout.isatty()


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
