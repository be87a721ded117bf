"""Which images `predict` takes by window, because whole they would need more memory than there is to use."""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perpixel.core.errors import UserError

if TYPE_CHECKING:
    from perpixel.infer import Predictor
    from perpixel.infer.many import Job

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_WHOLE = 12
"""Bytes a pixel that labels, overlay and what they are made from take, beside two copies of the image."""


def budget(text: str | None) -> float:
    """Bytes, of a text such as 2GB or 500MB; half of what is free without one.

    >>> budget("2GB"), budget("1.5 g"), budget("300")
    (2000000000.0, 1500000000.0, 300.0)

    Raises:
        UserError: another text.
    """
    if text is None:
        return free() / 2
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise UserError(f'--memory takes a size such as 2GB or 500MB, got "{text}"')
    return float(found[1]) * _UNITS[found[2].upper()]


def free() -> float:
    """Bytes of memory that are free; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), float("inf"))


def needs(file: Path) -> float:
    """Bytes that a raster needs to be predicted whole; 0 where it cannot be read by window."""
    from perpixel.core.windows import open_windows

    try:
        with open_windows(file) as windows:
            if windows is None:
                return 0
            height, width, channels = windows.shape
            return float(height * width * (2 * channels * windows.page.dtype.itemsize + _WHOLE))
    except UserError:  # it is said where it is read
        return 0


def predict_large(
    predictor: "Predictor", jobs: Iterable["Job"], memory: float, see: Callable[[str], None]
) -> tuple[list["Job"], dict[str, Any]]:
    """Predicts by window what needs more memory than there is to use; the jobs that are left, and what was done by image."""
    import json

    from perpixel.core.files import write_text
    from perpixel.infer.by_window import predict_raster

    left: list[Job] = []
    done: dict[str, Any] = {}
    for job in jobs:
        output = job.folder / f"{job.stem}_labels.tif"

        def step(n: int, of: int, job: "Job" = job) -> None:
            see(f"{job.image}: {n} of {of} tiles")

        large = needs(job.image) > memory
        said = predict_raster(predictor, job.image, output, see=step) if large else None
        if said is None:
            if large:
                see(
                    f"{job.image}: needs more memory than there is to use, but this model cannot answer for it by window"
                )
            left.append(job)
            continue
        write_text(job.folder / f"{job.stem}.json", json.dumps(said, indent=2) + "\n")
        done[str(job.image)] = {**said, "files": {"geotiff": output.name, "summary": f"{job.stem}.json"}}
    return left, done


def on_stderr(line: str) -> None:
    """Shows how far a raster is."""
    print(line, file=sys.stderr, flush=True)
