"""What a run remembers of its data, so that going on needs no second look and notices other data.

RUN/data.json holds the facts of the survey, and of every sample a digest of its files.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perpixel.core.errors import UserError
from perpixel.core.image import read_image
from perpixel.core.reporter import Reporter
from perpixel.core.words import some_names
from perpixel.data.meaning import show
from perpixel.data.samples import Dataset, Sample
from perpixel.data.statistics import SurveyFacts, survey_training
from perpixel.labels import Taxonomy

PART = 2**16
"""Of a file of more than four times so many bytes, so many at its begin, middle and end are looked at."""

FORMAT = "perpixel data 1"

Digests = Mapping[str, Mapping[str, str]]
"""Digests of the samples, by split and name."""


@dataclass(frozen=True)
class Known:
    """The facts of a survey, and what its samples were."""

    facts: SurveyFacts
    samples: Digests

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        samples = {split: dict(found) for split, found in self.samples.items()}
        return {"format": FORMAT, "facts": self.facts.to_dict(), "samples": samples}

    @classmethod
    def from_dict(cls, data: Any) -> "Known":
        """The inverse of `to_dict`.

        Raises:
            UserError: it is not what `to_dict` gives.
        """
        if (
            not isinstance(data, Mapping)
            or data.get("format") != FORMAT
            or not isinstance(data.get("samples"), Mapping)
        ):
            raise UserError(f'this is not what a run knows of its data (expected "format": "{FORMAT}")')
        return cls(SurveyFacts.from_dict(data["facts"]), data["samples"])


def look(
    dataset: Dataset, train: str, val: str, report: Reporter | None = None, kept: Mapping[str, Any] | None = None
) -> Known:
    """What is known of the data: from a survey, or from what a run kept of an earlier one, without reading an image.

    Where `kept` is given and samples were added, removed or altered since, a line of the facts' `notes` says so.

    Raises:
        UserError: as `survey_training`; or the classes, or the images' channels, are not those that the run was trained on.
    """
    if not kept:
        facts = survey_training(dataset, train, val, report)
        return Known(facts, digests(dataset, (train, val)))
    before = Known.from_dict(kept)
    _refuse_other_classes(before.facts.taxonomy, dataset)
    changes = compare(before.samples, digests(dataset, (train, val)))
    if not changes:
        return before
    _refuse_other_channels(before.facts.images.channels, dataset.split(train)[0])
    return replace(before, facts=replace(before.facts, notes=(*before.facts.notes, changes)))


def digests(dataset: Dataset, splits: Iterable[str]) -> Digests:
    """SHA-256 over size and bytes of the image and mask of every sample, and its window."""
    found = {split: dataset.samples(split) for split in splits}
    dataset.split(next(iter(found)))
    with ThreadPoolExecutor(8) as pool:
        return {s: dict(zip((x.name for x in xs), pool.map(_digest, xs), strict=True)) for s, xs in found.items()}


def compare(old: Digests, new: Digests) -> str:
    """One line about the samples that were removed, added or altered, or changed their split; "" if none was."""
    before = {name: (split, d) for split, found in old.items() for name, d in found.items()}
    after = {name: (split, d) for split, found in new.items() for name, d in found.items()}
    both = before.keys() & after.keys()
    kinds = {
        "removed": before.keys() - after.keys(),
        "added": after.keys() - before.keys(),
        "altered": {n for n in both if before[n][1] != after[n][1]},
        "moved to another split": {n for n in both if before[n][0] != after[n][0]},
    }
    said = [f"{len(names)} {what} ({some_names(sorted(names))})" for what, names in kinds.items() if names]
    return f"the samples are not those that the run began with: {', '.join(said)}" if said else ""


def changed_classes(old: Taxonomy, new: Taxonomy) -> str:
    """What differs between two taxonomies in names, their order, or mask values, in words; "" if nothing does."""
    if set(old.names) == set(new.names) and old.names != new.names:
        return f"the order of the classes was {', '.join(old.names)} and is {', '.join(new.names)}"
    gone, come = _without(old.names, new.names), _without(new.names, old.names)
    if old.names != new.names:
        parts = [f"{what} {some_names(names)}" for what, names in (("without", gone), ("with", come)) if names]
        return f"the classes were {some_names(old.names, 8)}; they are now {' and '.join(parts)}"
    for name, before, after in zip(old.names, old.values, new.values, strict=True):
        if set(before) != set(after):
            return f'the mask values of "{name}" were {_values(before)} and are {_values(after)}'
    if set(old.ignore) != set(new.ignore):
        return f"the values to ignore were {_values(old.ignore)} and are {_values(new.ignore)}"
    return ""


def _refuse_other_classes(trained: Taxonomy, dataset: Dataset) -> None:
    if dataset.classes is not None and (words := changed_classes(trained, dataset.classes)):
        raise UserError(
            f"{dataset.root}: {words}; a run goes on with its own classes alone. "
            "Put them back, or begin a new run from its weights: perpixel train DATA --from RUN"
        )


def _refuse_other_channels(channels: int, sample: Sample) -> None:
    now = read_image(sample.image, channels).shape[2]
    if now != channels and {now, channels} != {1, 3}:
        raise UserError(f"{sample.image}: has {now} channels, and the run was trained on images of {channels}")


def _digest(sample: Sample) -> str:
    key = hashlib.sha256(str(sample.window).encode())
    for path in (sample.image, sample.mask_path):
        if path is not None:
            _add(key, path)
    return key.hexdigest()[:32]


def _add(key: Any, path: Path) -> None:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            key.update(str(size).encode())
            for start in (0,) if size <= 4 * PART else (0, size // 2, size - PART):
                file.seek(start)
                key.update(file.read(PART if size > 4 * PART else size))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    return [n for n in names if n not in others]


def _values(values: Sequence[Any]) -> str:
    return ", ".join(map(show, values)) or "none"
