"""Keeping freed memory, so that a training step does not ask the kernel for the last step's pages again."""

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # parameters of glibc's mallopt(3)


@functools.cache
def keep_freed_memory() -> bool:
    """Tells glibc to keep what tensors free instead of handing it back to the kernel; says whether it could.

    A step on the CPU allocates and frees the same hundreds of megabytes each time. By default glibc maps and unmaps them, and the
    kernel clears every page again: half of a step's time on a small machine (benchmarks/camvid.md). The process's
    memory then stays at its peak until it ends. Elsewhere than on Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1) and mallopt(_TOP_PAD, 64 * 2**20))
