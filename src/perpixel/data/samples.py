"""What every layout of a data folder comes down to: named pairs of image and mask, by split."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from perpixel.core.errors import UserError, nearest
from perpixel.core.words import some_names
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
class SplitList:
    """A list of names beside the data: of which split, its file, its lines, and those of them that mean no sample."""

    split: str
    file: Path
    entries: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Dataset:
    """What a data folder holds.

    Args:
        root: the folder.
        layout: which of the known layouts it has.
        splits: split name -> samples.
        classes: the classes that the layout or a dataset.yaml tells.
        name, licence: travel into bundles and reports.
        unpaired: images without a mask and masks without an image.
        lists: the lists of names that the splits come from.
        hashed: val was cut out of train by a hash of the names; nobody made the split.
        unused: pairs that no list names.
        notes: what of the folder is not used, a line each.
        bands: what the images' bands are called, in order; empty where nobody says.
        infer: finds the classes that the masks of some samples tell by themselves, if they do.
    """

    root: Path
    layout: str
    splits: Mapping[str, tuple[Sample, ...]]
    classes: Taxonomy | None = None
    name: str = ""
    licence: str = ""
    unpaired: tuple[Path, ...] = field(default=())
    lists: tuple[SplitList, ...] = ()
    hashed: bool = False
    unused: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    infer: Callable[[Sequence[Sample]], Taxonomy | None] = field(default=no_classes, compare=False)

    def __repr__(self) -> str:
        """Such as Dataset(CamVid, layout segnet, 367 train, 101 val, 233 test, 11 classes (sky, building, pole, ...))."""
        counts = [f"{len(found)} {split}" for split, found in self.splits.items()] or ["no pair"]
        names = self.classes.names if self.classes else ()
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        classes = f"{len(names)} classes ({listed})" if names else "classes not named"
        return f"Dataset({self.name or self.root.name}, layout {self.layout}, {', '.join(counts)}, {classes})"

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
        """The samples of a split; of "all", every sample once, unless a split has that name.

        Raises:
            UserError: no such split, it is empty, or a line of a list of train, of val or of this split means no sample.
        """
        if self.unpaired and not any(self.splits.values()):
            example, said = self.unpaired[0].name, "".join(f"; {n}" for n in self.notes if "labels" in n)
            raise UserError(
                f"{self.root}: no image has a mask of its name, for example {example}{said}; run perpixel check"
            )
        for found in self.lists:
            if found.lost and found.split in ("train", "val", name):
                raise UserError(
                    f"{found.file}: no image and mask for {some_names(found.lost)} ({len(found.lost)} of "
                    f"{len(found.entries)} lines); correct the list, or add the missing files"
                )
        if name == "all" and name not in self.splits:
            return tuple(dict.fromkeys(s for samples in self.splits.values() for s in samples))
        if not self.splits.get(name):
            have = ", ".join(f"{k} ({len(v)})" for k, v in self.splits.items()) or "none"
            filled = [k for k, v in self.splits.items() if v]
            near = nearest(name, filled) or (' The split "all" is all of them.' if filled else "")
            raise UserError(f'{self.root}: no split "{name}"; there are: {have}.{near}')
        return self.splits[name]


def split_by_hash(samples: Sequence[Sample]) -> dict[str, tuple[Sample, ...]]:
    """train and val by a hash of each name, so that a sample keeps its split when others come or go.

    About one in five goes to val; with two samples or more neither split is empty.
    """

    def place(sample: Sample) -> float:
        return int(hashlib.sha256(sample.name.encode("utf-8", "surrogateescape")).hexdigest()[:8], 16) / 2**32

    ordered = sorted(samples, key=place)
    cut = sum(place(s) < VAL_SHARE for s in ordered)
    cut = min(max(cut, 1), len(ordered) - 1) if len(ordered) > 1 else 0
    val = {s.name for s in ordered[:cut]}
    return {
        "train": tuple(s for s in samples if s.name not in val),
        "val": tuple(s for s in samples if s.name in val),
    }
