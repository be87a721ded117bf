"""What every layout of a data folder comes down to: named pairs of image and mask, by split."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perpixel.core.errors import UserError, nearest
from perpixel.core.image import SUFFIXES
from perpixel.labels import Taxonomy

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.2

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sample:
    """One image and its mask (None when there is none); `window` (top, left, height, width) takes a part of both."""

    name: str
    image: Path
    mask: Path | None
    window: Window | None = None


@dataclass(frozen=True)
class Dataset:
    """What a data folder holds. `taxonomy` is None when neither the layout nor a dataset.yaml tells the classes."""

    root: Path
    layout: str
    splits: Mapping[str, tuple[Sample, ...]]
    taxonomy: Taxonomy | None = None
    name: str = ""
    licence: str = ""
    unpaired: tuple[Path, ...] = field(default=())

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
