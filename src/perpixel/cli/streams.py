"""What is printed must not end the work: a reader may go away, and a name may hold bytes that are no text."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class Lasting:
    """A stream whose reader may go away, as `head` does: then the rest goes nowhere, and the work goes on to its own end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, or does as if."""
        return cast(int, self._lasting(lambda: self._stream.write(text), len(text)))

    def flush(self) -> None:
        """Flushes, or does as if."""
        self._lasting(self._stream.flush, None)

    def _lasting(self, write: Callable[[], Any], instead: Any) -> Any:
        try:
            return write()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            return instead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Within: neither a reader that went away nor a character that the terminal's encoding lacks is an error."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (cast(TextIO, Lasting(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
