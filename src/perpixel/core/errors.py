"""Errors that a user can cause, and the nearest right name for a wrong one."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """The user's input is at fault: the message says what was expected, what came and what to do.

    The command line prints the message alone and exits with 2.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a wrong name, or nothing when no known name is close.

    >>> nearest("fast_scn", ["unet", "fast_scnn"])
    ' Did you mean "fast_scnn"?'
    >>> nearest("zebra", ["unet"])
    ''
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came; what can be gone on from was saved. The command line exits with 75."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine's or the device's memory is used up; torch says it in words alone.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    True
    """
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in words or "out of memory" in words)
    )
