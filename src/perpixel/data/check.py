"""What is in a data folder and what is wrong with it.

open_dataset -> survey (every file once) -> meaning (what the values are) -> faults (defects), oddities (warnings)
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.reporter import Reporter
from perpixel.data.facts import Facts, label_counts, masks_of, split_pairs
from perpixel.data.faults import Finding, defects_of
from perpixel.data.folders import open_dataset
from perpixel.data.meaning import Meaning, meaning_of, show
from perpixel.data.notes import image_notes
from perpixel.data.oddities import warnings_of
from perpixel.data.samples import Dataset
from perpixel.data.survey import survey
from perpixel.data.window import hw
from perpixel.labels import Taxonomy


@dataclass(frozen=True)
class ClassRow:
    """A class over all splits: its share of the pixels that are not ignored, and of the masks that hold it."""

    name: str
    values: str
    pixels: float
    images: float


@dataclass(frozen=True)
class Checked:
    """All that was found. `ignored` is the share of the masks' pixels that are ignored."""

    dataset: Dataset
    facts: Facts
    meaning: Meaning
    classes: tuple[ClassRow, ...]
    ignored: float
    defects: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def check_dataset(data: str | Path, report: Reporter | None = None) -> Checked:
    """Reads every file of a data folder (or dataset.yaml) once; `report` is told how many samples of how many are done.

    Raises:
        UserError: nothing there, or it fits no layout. What is wrong with single files does not raise.
    """
    dataset = open_dataset(data)
    facts = survey(dataset.splits, report)
    meaning = meaning_of(dataset, facts)
    taxonomy = meaning.taxonomy
    classes, ignored = _class_table(facts, taxonomy) if taxonomy else (_value_table(meaning, facts), 0.0)
    return Checked(
        dataset,
        facts,
        meaning,
        classes,
        ignored,
        tuple(defects_of(dataset, facts, meaning)),
        tuple(warnings_of(dataset, facts, meaning)),
    )


def overview(checked: Checked) -> list[tuple[str, str]]:
    """Layout, pairs, sizes and channels, each as (what, words)."""
    dataset, images = checked.dataset, [p.image for _, p in split_pairs(checked.facts) if p.image is not None]
    pairs = ", ".join(f"{split} {len(pairs)}" for split, pairs in checked.facts.items())
    lines = [("data", dataset.name), ("layout", dataset.layout), ("pairs", pairs or "none")]
    if dataset.licence:
        lines.insert(1, ("licence", dataset.licence))
    lines += [("left out", note) for note in dataset.notes]
    lines += [("read", note) for note in image_notes([pair for _, pair in split_pairs(checked.facts)])]
    if not images:
        return lines
    sizes = sorted((i.size for i in images), key=lambda s: (s[0] * s[1], s))
    height, width = (int(v) for v in np.median(np.array(sizes), axis=0))
    spread = f"{hw(sizes[0])} to {hw(sizes[-1])}, median {height}x{width}, {len(set(sizes))} different"
    kinds = Counter(f"{i.channels} channel{'s' * (i.channels > 1)} {i.dtype}" for i in images)
    return [
        *lines,
        ("sizes", f"{spread} (height x width)" if len(set(sizes)) > 1 else f"all {hw(sizes[0])} (height x width)"),
        ("images", ", ".join(f"{kind}" + f" ({n})" * (len(kinds) > 1) for kind, n in kinds.most_common())),
    ]


def _class_table(facts: Facts, taxonomy: Taxonomy) -> tuple[tuple[ClassRow, ...], float]:
    counts = [label_counts(mask, taxonomy)[0] for mask in masks_of(facts)]
    pixels = sum(counts, Counter[int]())
    held = Counter(label for c in counts for label in c)
    ignored = pixels.pop(IGNORE, 0)
    total, masks = max(sum(pixels.values()), 1), max(len(counts), 1)
    rows = (
        ClassRow(name, " ".join(map(show, taxonomy.values[k])), pixels[k] / total, held[k] / masks)
        for k, name in enumerate(taxonomy.names)
    )
    return tuple(rows), ignored / (total + ignored)


def _value_table(meaning: Meaning, facts: Facts) -> tuple[ClassRow, ...]:
    """A row for every value, where nobody knows which class it is."""
    total = max(sum(meaning.values.pixels.values()), 1)
    masks = max(len(masks_of(facts)), 1)
    return tuple(
        ClassRow("not named yet", show(v), n / total, meaning.held[v] / masks)
        for v, n in meaning.values.pixels.most_common()
    )
