"""What every layout of a data folder comes down to: named pairs of image and mask, by split."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from perpixel.core.errors import UserError, nearest
from perpixel.core.image import SUFFIXES
from perpixel.data.mask_source import MaskSource
from perpixel.data.window import Window
from perpixel.labels import Taxonomy

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.2


@dataclass(frozen=True)
class Sample:
    """One image and its mask (None when there is none); `window` (top, left, height, width) takes a part of both."""

    name: str
    image: Path
    mask: MaskSource | None
    window: Window | None = None

    @property
    def mask_path(self) -> Path | None:
        """The file of the mask, for messages."""
        return self.mask.path if self.mask is not None else None


def no_classes(samples: Sequence[Sample]) -> Taxonomy | None:
    """Nobody tells the classes."""
    return None


@dataclass(frozen=True)
class Dataset:
    """What a data folder holds.

    Args:
        root: the folder.
        layout: which of the known layouts it has.
        splits: split name -> samples.
        classes: the classes that the layout or a dataset.yaml tells.
        name, licence: travel into bundles and reports.
        unpaired: images without a mask and masks without an image.
        infer: finds the classes that the masks of some samples tell by themselves, if they do.
    """

    root: Path
    layout: str
    splits: Mapping[str, tuple[Sample, ...]]
    classes: Taxonomy | None = None
    name: str = ""
    licence: str = ""
    unpaired: tuple[Path, ...] = field(default=())
    infer: Callable[[Sequence[Sample]], Taxonomy | None] = field(default=no_classes, compare=False, repr=False)

    @cached_property
    def taxonomy(self) -> Taxonomy | None:
        """The classes: told, or else read out of the masks of train and val, once, which takes its time.

        None where the values of the masks have no one meaning, or a mask cannot be read.
        """
        speaking = [*self.samples("train"), *self.samples("val")] or [
            s for found in self.splits.values() for s in found
        ]
        return self.classes or self.infer(speaking)

    def samples(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split, none where there is no such split."""
        return tuple(self.splits.get(name, ()))

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split.

        Raises:
            UserError: no such split, or it is empty.
        """
        if self.unpaired and not any(self.splits.values()):
            example = self.unpaired[0].name
            raise UserError(f"{self.root}: no image has a mask of its name, for example {example}; run perpixel check")
        if not self.splits.get(name):
            have = ", ".join(f"{k} ({len(v)})" for k, v in self.splits.items()) or "none"
            raise UserError(f'{self.root}: no split "{name}"; there are: {have}.{nearest(name, self.splits)}')
        return self.splits[name]


def split_by_hash(samples: Sequence[Sample]) -> dict[str, tuple[Sample, ...]]:
    """train and val by a hash of each name, so that a sample keeps its split when others come or go.

    About one in five goes to val; with two samples or more neither split is empty.
    """

    def place(sample: Sample) -> float:
        return int(hashlib.sha256(sample.name.encode()).hexdigest()[:8], 16) / 2**32

    ordered = sorted(samples, key=place)
    cut = sum(place(s) < VAL_SHARE for s in ordered)
    cut = min(max(cut, 1), len(ordered) - 1) if len(ordered) > 1 else 0
    val = {s.name for s in ordered[:cut]}
    return {
        "train": tuple(s for s in samples if s.name not in val),
        "val": tuple(s for s in samples if s.name in val),
    }


def by_name(samples: Iterable[Sample]) -> dict[str, Sample]:
    """Samples by their names, and by the last part of a name (a/b: b) where only one sample has it."""
    samples = tuple(samples)
    last: dict[str, list[Sample]] = {}
    for sample in samples:
        last.setdefault(sample.name.rsplit("/", 1)[-1], []).append(sample)
    return {n: found[0] for n, found in last.items() if len(found) == 1} | {s.name: s for s in samples}


def find(entry: str, named: Mapping[str, Sample]) -> Sample | None:
    """The sample that a list means by an entry: a stem, a file name, or a path of which only the end is ours."""
    stem = without_suffix(entry)
    parts = stem.split("/")
    return named.get(entry) or next((named[k] for i in range(len(parts)) if (k := "/".join(parts[i:])) in named), None)


def find_in_line(line: str, named: Mapping[str, Sample]) -> Sample | None:
    """The sample that a line of a list file means: all of it (names may have spaces), or its first word."""
    return find(line.strip(), named) or find(line.split()[0], named)


def without_suffix(entry: str) -> str:
    """A file name without the ending of an image; other dots belong to the name.

    >>> without_suffix("scan 1.5.png"), without_suffix("scan 1.5")
    ('scan 1.5', 'scan 1.5')
    """
    ending = Path(entry).suffix
    return entry.removesuffix(ending) if ending.lower() in SUFFIXES else entry
