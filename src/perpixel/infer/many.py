"""Many images one after the other: the next is read and the last is written while the network is at work on one."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from perpixel.core.errors import UserError, is_out_of_memory
from perpixel.core.georeference import read_georeference
from perpixel.core.image import Array, read_raster
from perpixel.data.notes import raster_notes
from perpixel.infer.prediction import Prediction
from perpixel.infer.predictor import Predictor

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """An image's file, and where its results go: `folder`/`stem`.png and so on."""

    image: Path
    folder: Path
    stem: str


Done = tuple[Job, dict[str, Any] | str]
"""A job with its summary and its files, or with the line that says why it has none."""


def predict_files(
    predictor: Predictor, jobs: Iterable[Job], flip: bool = False, samples: int = 0, probabilities: bool = False
) -> Iterator[Done]:
    """Predicts and saves; an image that cannot be read or is too large does not stop the others. At most three are in memory.

    Args:
        predictor: who answers.
        jobs: what to read and where to write.
        flip, samples, probabilities: as `Predictor.predict` and `Prediction.save` take them.

    Yields:
        Each job with what came of it, in their order.

    Raises:
        OSError: the results cannot be written.
    """

    takes = predictor.preprocessing

    def read(job: Job) -> tuple[Array, list[str]]:
        raster = read_raster(job.image, takes.channels)
        return raster.filled(takes.mean_of_bands), raster_notes(raster, takes.channels)

    def predict(job: Job, image: Array) -> Prediction:
        return predictor.predict(image, flip, samples=samples, probabilities=probabilities, name=str(job.image))

    def save(job: Job, prediction: Prediction, notes: list[str]) -> dict[str, Any]:
        place = read_georeference(job.image)
        files = prediction.save(job.folder, job.stem, probabilities, place)
        said = {"notes": notes} if notes else {}
        return {**prediction.summary(), **({"crs": place.crs} if place else {}), **said, "files": files}

    behind: tuple[Job, Future[dict[str, Any]] | str] | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        for job, image in _ahead(reader, read, jobs):
            now: tuple[Job, Future[dict[str, Any]] | str]
            try:
                array, notes = image.result()
                now = job, writer.submit(save, job, predict(job, array), notes)
            except (UserError, MemoryError, RuntimeError) as error:
                now = job, _reason(error, job.image)
            if behind:
                yield _settled(*behind)
            behind = now
        if behind:
            yield _settled(*behind)


def _ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, "Future[R]"]]:
    """Each item with its work, which for the next one has begun by then."""
    before: tuple[T, Future[R]] | None = None
    for item in items:
        begun = item, pool.submit(work, item)
        if before:
            yield before
        before = begun
    if before:
        yield before


def _settled(job: Job, result: "Future[dict[str, Any]] | str") -> Done:
    try:
        return job, result if isinstance(result, str) else result.result()
    except UserError as error:
        return job, f"{job.image}: {error}"


def _reason(error: Exception, file: Path) -> str:
    """The line about one image; anything but bad input and too little memory is a fault of ours and goes on up."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return f"{file}: too large for the memory of this machine"
    raise error
