"""Several data sets as one, in the classes of a common taxonomy; and a stream that draws from each its share of every batch.

    camvid/0001   image  mask -> camvid's classes  -> common classes ┐
    facades/17    image  mask -> facades' classes  -> common classes ┴─ one data set; a sample's name begins with its set's

Each set keeps its layout, its splits and the sizes of its images; what its block drops is ignored.
Source: Lambert et al., "MSeg", CVPR 2020, section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.core.image import RawMask
from perpixel.core.words import some_names
from perpixel.data.loader import Stream
from perpixel.data.mask_source import MaskSource
from perpixel.data.samples import Dataset, Sample
from perpixel.labels import CommonTaxonomy, Taxonomy

BETWEEN = "/"
"""Between a set's name and a sample's."""


@dataclass(frozen=True)
class MappedMask:
    """A mask that is read as common classes: values 0 to K - 1, and 255 for what is ignored."""

    source: MaskSource
    labels: Taxonomy

    @property
    def path(self) -> Path:
        """The file of the mask."""
        return self.source.path

    def read(self) -> RawMask:
        """The common labels.

        Raises:
            UserError: it cannot be read, or holds a value of no class.
        """
        raw = self.source.read()
        return RawMask(self.labels.encode(raw, str(self.path)), more=raw.more)


def set_name(sample: Sample) -> str:
    """Of which set a sample of `joined` is."""
    return sample.name.split(BETWEEN, 1)[0]


def set_key(dataset: Dataset, common: CommonTaxonomy) -> str:
    """Which set of the taxonomy a data set is, by its name or its classes.

    Raises:
        UserError: none or several, or its classes have no names.
    """
    return common.set_of(dataset.name, _named(dataset).names)


def joined(sets: Mapping[str, Dataset], common: CommonTaxonomy) -> Dataset:
    """One data set of all of these.

    Args:
        sets: by their names in the taxonomy.
        common: the taxonomy.

    Raises:
        UserError: a class is missing in a block or unknown, or a set's classes have no names.
    """
    parts = {key: _mapped(dataset, common, key) for key, dataset in sets.items()}
    splits: dict[str, tuple[Sample, ...]] = {}
    for part in parts.values():
        for split, found in part.splits.items():
            splits[split] = (*splits.get(split, ()), *found)
    return Dataset(
        root=next(iter(parts.values())).root,
        layout=", ".join(f"{key}: {part.layout}" for key, part in parts.items()),
        splits=splits,
        classes=Taxonomy.of(common.classes.names, common.classes.colours),
        name=" + ".join(parts),
        licence="; ".join(f"{key}: {part.licence}" for key, part in parts.items() if part.licence),
        notes=tuple(f"{key}: {note}" for key, part in parts.items() for note in part.notes),
        bands=_same_bands(list(parts.values())),
    )


def _same_bands(parts: Sequence[Dataset]) -> tuple[str, ...]:
    """What the bands are called, where all sets say the same."""
    return parts[0].bands if len({part.bands for part in parts}) == 1 else ()


def _mapped(dataset: Dataset, common: CommonTaxonomy, key: str) -> Dataset:
    own = _named(dataset)
    labels, dropped = common.labels_of(key, own), common.left_out(key, own.names)

    def common_sample(sample: Sample) -> Sample:
        mask = None if sample.mask is None else MappedMask(sample.mask, labels)
        return replace(sample, name=f"{key}{BETWEEN}{sample.name}", mask=mask)

    ignored = f"{len(dropped)} of {own.num_classes} classes are no common class, their pixels ignored: "
    notes = (ignored + some_names(dropped, 6),) if dropped else ()
    splits = {split: tuple(map(common_sample, found)) for split, found in dataset.splits.items()}
    return replace(dataset, splits=splits, classes=labels, notes=(*dataset.notes, *notes))


def _named(dataset: Dataset) -> Taxonomy:
    if dataset.taxonomy is None:
        raise UserError(
            f"{dataset.root}: its classes have no names; give them in a dataset.yaml (perpixel check --write)"
        )
    return dataset.taxonomy


@dataclass(frozen=True)
class MixedStream:
    """The endless order of samples of several sets that lie one after the other: each set has an endless order of its own, and
    sample n of all is of the set whose turn it is, so that any run of samples has every set's share, give or take one.

    Args:
        lengths: how many samples each set has.
        weights: how much of all that is drawn is of each.
        batch_size, seed, rank, world: as of `Stream`.
    """

    lengths: tuple[int, ...]
    weights: tuple[float, ...]
    batch_size: int
    seed: int = 0
    rank: int = 0
    world: int = 1

    def keys(self, step: int) -> list[tuple[int, int]]:
        """(epoch of the set, index among all) of each sample of a step, counted from 0."""
        first = (step * self.world + self.rank) * self.batch_size
        return [self._key(n) for n in range(first, first + self.batch_size)]

    def _key(self, n: int) -> tuple[int, int]:
        which, number = self.place(n)
        epoch, index = self._streams[which].keys(number)[0]
        return epoch, sum(self.lengths[:which]) + index

    def place(self, n: int) -> tuple[int, int]:
        """The set of sample n, and its place among that set's samples.

        Of the first n samples the floor of n r are of all sets but the last, where r is these sets' share, and so on down: exact
        for any n, with nothing to remember.

        >>> [MixedStream((9, 9), (1, 2), 1).place(n) for n in range(6)]
        [(1, 0), (1, 1), (0, 0), (1, 2), (1, 3), (0, 1)]
        """
        for which, share in self._shares:
            before, after = n * share.numerator // share.denominator, (n + 1) * share.numerator // share.denominator
            if after == before:
                return which, n - before
            n = before
        return 0, n

    @cached_property
    def _shares(self) -> list[tuple[int, Fraction]]:
        """From the last set to the second: which one, and what share of it and those before it these have."""
        parts = [Fraction(w).limit_denominator(10**6) for w in self.weights]
        return [(i, sum(parts[:i], Fraction()) / sum(parts[: i + 1], Fraction())) for i in range(len(parts) - 1, 0, -1)]

    @cached_property
    def _streams(self) -> list[Stream]:
        return [Stream(length, 1, self.seed) for length in self.lengths]


def sets_of(samples: Sequence[Sample]) -> dict[str, tuple[Sample, ...]]:
    """The samples of `joined` by their set, in order."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(set_name(sample), []).append(sample)
    return {key: tuple(own) for key, own in found.items()}


def alone(dataset: Dataset) -> dict[str, Dataset]:
    """Each set of a `joined` one, with the names that its samples had."""

    def own(key: str, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        first = len(key + BETWEEN)
        return tuple(replace(s, name=s.name[first:]) for s in samples if set_name(s) == key)

    keys = dict.fromkeys(set_name(s) for found in dataset.splits.values() for s in found)
    return {
        key: replace(dataset, name=key, splits={split: own(key, found) for split, found in dataset.splits.items()})
        for key in keys
    }
