"""What of val and test has been seen in training: groups that stand in two splits, images that look nearly alike."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import NamedTuple

from perpixel.data.facts import Facts, split_pairs
from perpixel.data.faults import Finding, Named, if_any, relative
from perpixel.data.groups import GroupOf, shared_groups
from perpixel.data.perceptual import NEAR, nearest_of
from perpixel.data.samples import Dataset, Sample

FIX = "perpixel split DATA makes splits that keep groups together; else read figures of val as those of a known scene"


class _Seen(NamedTuple):
    sample: Sample
    look: bytes
    digest: str


def leaks_of(dataset: Dataset, facts: Facts, group: GroupOf) -> list[Finding]:
    """Warnings about splits that know of each other."""
    return [*_groups(dataset, group), *_nearly_alike(facts, partial(relative, dataset.root))]


def _groups(dataset: Dataset, group: GroupOf) -> Iterator[Finding]:
    shared = (
        f"{name}: "
        + " and ".join(f"{len(found)} in {split}, such as {found[0].name}" for split, found in places.items())
        for name, places in shared_groups(dataset.splits, group).items()
    )
    yield from if_any("groups (sequence, patient, scene, city; by name) that stand in two splits", shared, FIX)


def _nearly_alike(facts: Facts, rel: Named) -> Iterator[Finding]:
    seen: dict[str, list[_Seen]] = {split: [] for split in facts}
    for split, pair in split_pairs(facts):
        if pair.image and pair.image.look:
            seen[split].append(_Seen(pair.sample, pair.image.look, pair.image.digest))
    near = (
        f"{rel(a.sample.image)} ({later}) ~ {rel(b.sample.image)} ({first}): {bits} of 256 bits differ"
        for first, later in combinations(seen, 2)
        for a, b, bits in _near(seen[later], seen[first])
    )
    fix = "look at both; put them into one split (perpixel split DATA --group ...): what was trained on cannot measure"
    yield from if_any("images of two splits that look nearly alike", near, fix)


def _near(later: list[_Seen], first: list[_Seen]) -> Iterator[tuple[_Seen, _Seen, int]]:
    """Each with its nearest; the same file or the same pixels are a defect of their own."""
    if not later or not first:
        return
    places, bits = nearest_of([s.look for s in later], [s.look for s in first])
    for a, place, n in zip(later, places, bits, strict=True):
        b = first[place]
        if n <= NEAR and a.sample.image != b.sample.image and a.digest != b.digest:
            yield a, b, int(n)
