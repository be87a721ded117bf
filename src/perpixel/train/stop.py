"""Ctrl-C and SIGTERM ask a run to stop where it can save what it has."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from perpixel.core.errors import Interrupted
from perpixel.core.reporter import Reporter, Silent


class Stop:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raises `Interrupted` when it was."""
        if self.asked:
            raise Interrupted

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals inside ask for a stop; a second Ctrl-C stops at once. Outside the main thread they stay whose they were."""

        def ask(number: int, _: Any) -> None:
            if self.asked and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = True

        before: dict[signal.Signals, Callable[..., Any] | int | None] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, ask)
        except ValueError:  # not in the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Stoppable(Silent):
    """A reporter that tells nobody how far a long piece of work is, and ends it when a stop was asked for."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def step(self, done: int, total: int, text: str = "") -> None:
        self.stop.check()


class Heeding:
    """A reporter that speaks through another one, and ends the work when a stop was asked for."""

    def __init__(self, report: Reporter, stop: Stop) -> None:
        self.report, self.stop = report, stop

    def line(self, text: str) -> None:
        self.report.line(text)

    def step(self, done: int, total: int, text: str = "") -> None:
        self.stop.check()
        self.report.step(done, total, text)
