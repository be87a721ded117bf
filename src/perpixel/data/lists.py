"""Splits by the lists of names that lie beside the data: train.txt, val.txt, trainval.txt, test.txt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perpixel.core.text import read_lines
from perpixel.data.naming import Names, composed, without_suffix
from perpixel.data.samples import SPLITS, Sample, SplitList, split_by_hash

SPLIT_NAMES = {"training": "train", "train": "train", "validation": "val", "valid": "val", "val": "val"}
SPLIT_NAMES |= {"testing": "test", "test": "test"}  # of two that mean the same the later one counts
TRAINVAL = "trainval"


@dataclass(frozen=True)
class Listed:
    """Splits, the lists that they come from, whether a hash cut val out of train, and the samples in no list."""

    splits: Mapping[str, tuple[Sample, ...]]
    lists: tuple[SplitList, ...] = ()
    hashed: bool = False
    unused: tuple[Sample, ...] = ()


def by_lists(samples: Sequence[Sample], unpaired: Sequence[Path], folder: Path) -> Listed:
    """Splits by the lists in a folder; without one of val, val is cut out of train by a hash of each name.

    Without a list of train, train is trainval.txt, else all samples, less those that another list has.

    Raises:
        UserError: a list is no text file.
    """
    names, lone = Names.of(samples), frozenset(composed(p.stem) for p in unpaired)
    found = {s: (folder / f"{f}.txt") for f, s in SPLIT_NAMES.items() if (folder / f"{f}.txt").is_file()}
    both = folder / f"{TRAINVAL}.txt"
    if "train" not in found and both.is_file():
        found["train"] = both
    read = {split: _read(split, file, names, lone) for split, file in found.items()}
    splits = {split: samples for split, (_, samples) in read.items()}
    elsewhere = {s.name for split, listed in splits.items() if split != "train" for s in listed}
    if "train" not in splits or found["train"] == both:
        splits["train"] = tuple(s for s in splits.get("train", samples) if s.name not in elsewhere)
    hashed = "val" not in splits
    inside = {s.name for listed in splits.values() for s in listed}
    splits = {**splits, **split_by_hash(splits["train"])} if hashed else splits
    lists = tuple(found for found, _ in read.values())
    unused = tuple(s for s in samples if s.name not in inside)
    return Listed({s: splits[s] for s in SPLITS if s in splits}, lists, hashed, unused)


def _read(split: str, file: Path, names: Names, lone: frozenset[str]) -> tuple[SplitList, tuple[Sample, ...]]:
    entries = tuple(line for line in read_lines(file) if not line.startswith("#"))
    found = {entry: names.find_in_line(entry) for entry in entries}
    lost = tuple(e for e, s in found.items() if s is None and not (split == "test" and _stem(e) in lone))
    return SplitList(split, file, entries, lost), tuple(dict.fromkeys(s for s in found.values() if s is not None))


def _stem(entry: str) -> str:
    """The last part of a list's entry: of test images, masks are often kept back."""
    return without_suffix(composed(entry.split()[0]).replace("\\", "/")).rsplit("/", 1)[-1]
