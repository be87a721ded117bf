"""One look at every pair of a data set, each file decoded once: what training, `check` and `evaluate` need to know of it."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.image import Array, Raster, RawMask, orientation_of, read_raster
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.facts import ImageFacts, MaskFacts, Moments, PairFacts
from perpixel.data.samples import Sample
from perpixel.data.values import tally
from perpixel.data.window import cut, hw, lies_inside

T = TypeVar("T")
Choice = Callable[[str, int], bool]
"""Whether the image of a sample, by split and place in it, is looked at."""


def survey(
    splits: Mapping[str, Sequence[Sample]],
    report: Reporter | None = None,
    images: Choice = lambda split, place: True,
) -> dict[str, list[PairFacts]]:
    """Reads every mask once, and once every image that `images` chooses, in threads. Nothing decoded is kept.

    Broken files do not raise: their pair carries the error.

    Args:
        splits: samples by split; those of one image and mask (windows) share one reading.
        report: told how many samples of how many are done; it may raise to stop.
        images: which images are read.
    """
    report = report or Silent()
    jobs: dict[object, dict[tuple[str, int], Sample]] = {}
    for split, samples in splits.items():
        for i, sample in enumerate(samples):
            jobs.setdefault((sample.image, sample.mask), {})[split, i] = sample
    total, found = sum(map(len, splits.values())), dict[tuple[str, int], PairFacts]()

    def look(places: Mapping[tuple[str, int], Sample]) -> list[PairFacts]:
        return _look(list(places.values()), [images(*place) for place in places])

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # decoders release the interpreter's lock
    try:
        for places, facts in zip(jobs.values(), pool.map(look, jobs.values()), strict=True):
            report.step(len(found), total, "reading")
            found.update(zip(places, facts, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
    return {split: [found[split, i] for i in range(len(samples))] for split, samples in splits.items()}


def _look(samples: Sequence[Sample], wanted: Sequence[bool]) -> list[PairFacts]:
    """The facts of the samples that share one image and mask."""
    first, errors = samples[0], list[tuple[Path, str]]()
    image = _try(lambda: read_raster(first.image), first.image, errors) if any(wanted) else None
    mask = _try(first.mask.read, first.mask.path, errors) if first.mask is not None else None
    return [_pair(s, image if w else None, mask, errors) for s, w in zip(samples, wanted, strict=True)]


def _try(read: Callable[[], T], path: Path, errors: list[tuple[Path, str]]) -> T | None:
    try:
        return read()
    except UserError as error:
        errors.append((path, str(error).removeprefix(f"{path}: ")))
    except MemoryError:
        errors.append((path, "does not fit in memory"))
    return None


def _pair(sample: Sample, image: Raster | None, mask: RawMask | None, errors: Sequence[tuple[Path, str]]) -> PairFacts:
    problems = list(errors)
    image_facts = _image_facts(sample, image) if image is not None else None
    mask_facts = None
    if mask is not None and sample.mask is not None:
        if sample.window is not None and not lies_inside(sample.window, mask.values.shape):
            outside = f"window {list(sample.window)} lies outside of its {hw(mask.values.shape)}"
            problems.append((sample.mask.path, outside))
        else:
            mask_facts = _mask_facts(sample, sample.mask.path, mask)
    return PairFacts(sample, image_facts, mask_facts, tuple(problems))


def _image_facts(sample: Sample, raster: Raster) -> ImageFacts:
    image = raster.array
    part = cut(image, sample.window)
    return ImageFacts(
        size=(image.shape[0], image.shape[1]),
        channels=image.shape[2],
        dtype=str(image.dtype),
        digest=_digest(part),
        constant=not part.size or bool((part == part[0, 0]).all()),
        not_finite=0 if raster.valid is None else int((~raster.valid).sum()),
        orientation=_orientation(sample.image),
        alpha=raster.alpha,
        choices=raster.choices,
        more=raster.more,
        moments=_moments(part, None if raster.valid is None else cut(raster.valid, sample.window)),
    )


def _mask_facts(sample: Sample, path: Path, mask: RawMask) -> MaskFacts:
    part = cut(mask.values, sample.window)
    size = (mask.values.shape[0], mask.values.shape[1])
    counted = tally(RawMask(part, mask.palette))
    return MaskFacts(size, counted, _digest(part), part.ndim == 3, mask.palette, _orientation(path), mask.more)


def _moments(image: Array, valid: Array | None) -> Moments:
    """Over every 7th pixel; what was not measured does not count."""
    c = image.shape[2]
    if not image.size or (valid is not None and not valid.any()):
        nothing = np.zeros(c)
        return Moments(nothing, nothing, (0, 0), nothing, (0.0, 0.0))
    pixels = image.reshape(-1, c)[::7]
    if image.dtype == np.uint16:
        pixels = pixels.astype(np.float32) / 65535.0  # as training sees them
    values = pixels.T.astype(np.float64) / (255.0 if image.dtype == np.uint8 else 1.0)
    size = (image.shape[0], image.shape[1])
    if valid is None:
        return Moments(values.mean(1), (values**2).mean(1), size, np.ones(c), (float(image.min()), float(image.max())))
    known = valid.reshape(-1, c)[::7].T
    count = np.maximum(known.sum(1), 1)
    mean, square = (values * known).sum(1) / count, (values**2 * known).sum(1) / count
    measured = image[valid]
    return Moments(mean, square, size, known.mean(1), (float(measured.min()), float(measured.max())))


def _digest(array: Array) -> str:
    key = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    key.update(np.ascontiguousarray(array).data)
    return key.hexdigest()


def _orientation(path: Path) -> int:
    try:
        return orientation_of(path)
    except UserError:
        return 1
