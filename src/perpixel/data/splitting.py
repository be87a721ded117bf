"""Splits that keep groups together, with the classes shared out as evenly as the groups allow."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.files import atomic_write
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter
from perpixel.data.facts import PairFacts, label_counts
from perpixel.data.folders import open_dataset
from perpixel.data.groups import check_rule, group_rule
from perpixel.data.layouts import SIDE_BY_SIDE
from perpixel.data.samples import Dataset, Sample
from perpixel.data.speaking import taxonomy_of
from perpixel.data.survey import survey
from perpixel.labels import Taxonomy

Parts = Mapping[str, float]
"""The share of the samples of each split; they sum to 1."""


@dataclass(frozen=True)
class Split:
    """What was made: names by split, how many groups each has (a sample without a group is one), pixels (split, K)."""

    names: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, int]
    pixels: Array
    taxonomy: Taxonomy


def parts_of(val: float, test: float) -> dict[str, float]:
    """Shares of train, val and test (where it is not 0).

    Raises:
        UserError: no share of val, or none left for train.
    """
    if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
        raise UserError(f"--val {val:g} --test {test:g}: shares between 0 and 1 that leave some for train, such as 0.2")
    return {"train": 1 - val - test, "val": val} | ({"test": test} if test else {})


def make_split(
    data: str | Path, parts: Parts, group: str | None = None, seed: int = 0, report: Reporter | None = None
) -> tuple[Dataset, Split]:
    """Groups of a data folder over splits; every mask is read once, nothing is written.

    A test.txt that is there keeps its samples where no share of test is asked for.

    Raises:
        UserError: the layout has its splits in folders, a mask cannot be read, or there are fewer groups than splits.
    """
    rule, dataset = group_rule(group), open_dataset(data)
    check_rule(dataset, group, rule)
    samples = _free_samples(dataset, parts)
    facts = survey({"all": samples}, report, images=lambda split, place: False)
    _refuse_broken(facts["all"])
    taxonomy = dataset.classes or taxonomy_of(facts)
    pixels = np.array([_pixels(p, taxonomy) for p in facts["all"]])
    groups = [rule(s.name) or f"\n{s.name}" for s in samples]  # no group has a line's end in its name
    units, unit_of = np.unique(groups, return_inverse=True)
    if len(units) < len(parts):
        raise UserError(
            f"{dataset.root}: {len(units)} group{'s' * (len(units) > 1)} for {len(parts)} splits; a group is never cut: "
            "give another --group"
        )
    place = share_out(pixels, unit_of, list(parts.values()), seed)
    splits = list(parts)
    return dataset, Split(
        {
            split: tuple(s.name for s, u in zip(samples, unit_of, strict=True) if place[u] == i)
            for i, split in enumerate(splits)
        },
        {split: int((place == i).sum()) for i, split in enumerate(splits)},
        np.array([pixels[place[unit_of] == i].sum(0) for i in range(len(splits))]),
        taxonomy,
    )


def share_out(pixels: Array, unit_of: Array, parts: Sequence[float], seed: int) -> Array:
    """The split of each unit: the largest first, each to where shares of samples and classes come nearest to `parts`.

    Args:
        pixels: (N, K), of each sample.
        unit_of: (N,), the unit of each sample, 0 to U - 1.
        parts: wanted share of each split.
        seed: the order among units of one size.
    """
    n, total = int(unit_of.max()) + 1, np.maximum(pixels.sum(0), 1)
    shares = np.zeros(
        (n, pixels.shape[1] + 1)
    )  # of each class, and of the samples, which count as all classes together
    np.add.at(shares[:, :-1], unit_of, pixels / total)
    shares[:, -1] = np.bincount(unit_of, minlength=n) / len(unit_of)
    weight = np.append(np.ones(pixels.shape[1]), pixels.shape[1])
    wanted = np.array(parts)
    have, place = np.zeros((len(parts), len(weight))), np.zeros(n, np.int64)
    order = np.random.default_rng(seed).permutation(n)
    for left, unit in zip(range(n, 0, -1), order[np.argsort(-shares[order, -1], kind="stable")], strict=True):
        gain = ((2 * (wanted[:, None] - have) - shares[unit]) * shares[unit] / wanted[:, None] * weight).sum(1)
        empty = have[:, -1] == 0
        if empty.sum() >= left:
            gain[~empty] = -np.inf  # no split stays empty
        place[unit] = gain.argmax()
        have[place[unit]] += shares[unit]
    return place


def write_lists(dataset: Dataset, split: Split, overwrite: bool = False) -> list[Path]:
    """Writes train.txt, val.txt (and test.txt) into the data folder, all or none.

    Raises:
        UserError: one is there already, and `overwrite` is not set.
    """
    files = {dataset.root / f"{name}.txt": names for name, names in split.names.items()}
    there = [file for file in files if file.exists()]
    if there and not overwrite:
        raise UserError(f"{there[0]} is there already and stays as it is; --overwrite writes over it")
    with ExitStack() as stack:
        for file, names in files.items():
            aside = stack.enter_context(atomic_write(file))
            aside.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return list(files)


def _free_samples(dataset: Dataset, parts: Parts) -> list[Sample]:
    if dataset.layout not in ("flat", SIDE_BY_SIDE) or (dataset.root / "dataset.yaml").exists():
        raise UserError(
            f"{dataset.root}: its splits are told by folders or a dataset.yaml (layout {dataset.layout}), where lists do not "
            "count; a split is made for images/ + masks/ without splits inside"
        )
    kept = () if "test" in parts else dataset.samples("test")
    every = [*(s for found in dataset.splits.values() for s in found), *dataset.unused]
    samples = sorted({s.name: s for s in every if s not in kept}.values(), key=lambda s: s.name)
    if not samples:
        raise UserError(f"{dataset.root}: no pair of image and mask to split; run perpixel check")
    return samples


def _refuse_broken(pairs: Sequence[PairFacts]) -> None:
    for pair in pairs:
        for path, words in pair.errors:
            raise UserError(f"{path}: {words}; run perpixel check")


def _pixels(pair: PairFacts, taxonomy: Taxonomy) -> list[int]:
    counts = label_counts(pair.mask, taxonomy)[0] if pair.mask else {}
    return [counts.get(k, 0) for k in range(taxonomy.num_classes) if k != IGNORE]
