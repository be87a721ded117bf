"""One look at every pair of a data set: what `check` needs to know of each file, and nothing that takes memory."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import Array, RawMask, read_image, read_mask
from perpixel.data.samples import Sample, Window
from perpixel.data.values import Tally, tally

Size = tuple[int, int]
Tick = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class ImageFacts:
    """size (H, W) upright; dtype as numpy names it; digest, SHA-256 of the pixels (in the sample's window);
    not_finite, how many values are NaN or infinite; orientation, the EXIF tag, 1 to 8."""

    size: Size
    channels: int
    dtype: str
    digest: str
    constant: bool
    not_finite: int
    orientation: int


@dataclass(frozen=True)
class MaskFacts:
    """size (H, W) of the whole file, upright; tally and digest of the sample's window; colours: a (H, W, 3) mask."""

    size: Size
    tally: Tally
    digest: str
    colours: bool
    palette: Array | None
    orientation: int


@dataclass(frozen=True)
class PairFacts:
    """What is known of a sample; `image` or `mask` is None where the file cannot be used, and `errors` says why."""

    sample: Sample
    image: ImageFacts | None
    mask: MaskFacts | None
    errors: tuple[tuple[Path, str], ...] = ()


def survey(splits: Mapping[str, Sequence[Sample]], tick: Tick = lambda done, total: None) -> dict[str, list[PairFacts]]:
    """Reads every pair once, in threads; `tick` is told (done, total) samples. Nothing decoded is kept.

    Broken files do not raise: their pair carries the error.
    """
    jobs: dict[tuple[Path, Path | None], dict[tuple[str, int], Sample]] = {}
    for split, samples in splits.items():
        for i, sample in enumerate(samples):
            jobs.setdefault((sample.image, sample.mask), {})[split, i] = sample
    found: dict[tuple[str, int], PairFacts] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoders release the interpreter's lock
        looked = pool.map(_look, (list(places.values()) for places in jobs.values()))
        for places, facts in zip(jobs.values(), looked, strict=True):
            found.update(zip(places, facts, strict=True))
            tick(len(found), sum(map(len, splits.values())))
    return {split: [found[split, i] for i in range(len(samples))] for split, samples in splits.items()}


def _look(samples: Sequence[Sample]) -> list[PairFacts]:
    """The facts of the samples that share one image and mask."""
    errors: list[tuple[Path, str]] = []
    image, mask = _try(read_image, samples[0].image, errors), None
    if samples[0].mask is not None:
        mask = _try(read_mask, samples[0].mask, errors)
    return [_pair(s, image, mask, errors) for s in samples]


def _try(read: Callable[[Path], T], path: Path, errors: list[tuple[Path, str]]) -> T | None:
    try:
        return read(path)
    except UserError as error:
        errors.append((path, str(error).removeprefix(f"{path}: ")))
    except MemoryError:
        errors.append((path, "does not fit in memory"))
    return None


def _pair(sample: Sample, image: Array | None, mask: RawMask | None, errors: Sequence[tuple[Path, str]]) -> PairFacts:
    problems = list(errors)
    image_facts = _image_facts(sample, image) if image is not None else None
    mask_facts = None
    if mask is not None and sample.mask is not None:
        if sample.window is not None and not _inside(sample.window, mask.values):
            height, width = mask.values.shape[:2]
            problems.append((sample.mask, f"window {list(sample.window)} lies outside of the mask's {height}x{width}"))
        else:
            mask_facts = _mask_facts(sample, sample.mask, mask)
    return PairFacts(sample, image_facts, mask_facts, tuple(problems))


def _image_facts(sample: Sample, image: Array) -> ImageFacts:
    part = _cut(image, sample.window)
    return ImageFacts(
        size=(image.shape[0], image.shape[1]),
        channels=image.shape[2],
        dtype=str(image.dtype),
        digest=_digest(part),
        constant=not part.size or bool((part == part[0, 0]).all()),
        not_finite=_not_finite(sample.image) if image.dtype == np.float32 else 0,
        orientation=_orientation(sample.image),
    )


def _mask_facts(sample: Sample, path: Path, mask: RawMask) -> MaskFacts:
    part = _cut(mask.values, sample.window)
    size = (mask.values.shape[0], mask.values.shape[1])
    counted = tally(RawMask(part, mask.palette))
    return MaskFacts(size, counted, _digest(part), part.ndim == 3, mask.palette, _orientation(path))


def _cut(array: Array, window: Window | None) -> Array:
    if window is None:
        return array
    top, left, height, width = window
    return array[top : top + height, left : left + width]


def _inside(window: Window, array: Array) -> bool:
    top, left, height, width = window
    return top + height <= array.shape[0] and left + width <= array.shape[1] and height > 0 and width > 0


def _digest(array: Array) -> str:
    key = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    key.update(np.ascontiguousarray(array).data)
    return key.hexdigest()


def _orientation(path: Path) -> int:
    if path.suffix.lower() == ".npy":
        return 1
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(0x0112, 1))
    except Exception:  # a format that only another decoder reads has no such tag
        return 1


def _not_finite(path: Path) -> int:
    """NaN and infinite values in a raster; `read_image` puts zeros in their place."""
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        values = tifffile.imread(path)
    elif path.suffix.lower() == ".npy":
        values = np.load(path, allow_pickle=False)
    else:
        return 0
    return int((~np.isfinite(values)).sum()) if np.issubdtype(values.dtype, np.floating) else 0
