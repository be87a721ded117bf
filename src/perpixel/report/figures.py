"""From counts to what the page's tables say: classes, confusions, calibration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perpixel.labels import Taxonomy
from perpixel.metrics import ConfusionMatrix

PER_CLASS = (
    ("iou", "IoU"),
    ("class_accuracy", "accuracy"),
    ("boundary_f1", "boundary F1"),
    ("boundary_iou", "boundary IoU"),
    ("trimap", "trimap IoU"),
)
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class ClassRow:
    """One class: its share of the true pixels (None when not counted) and its figures, None where it has none."""

    name: str
    colour: str
    share: float | None
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Confused:
    """`pixels` of a class that were taken for another: `share` of the class's pixels, `of_errors` of all wrong ones."""

    truth: str
    taken_for: str
    pixels: int
    share: float
    of_errors: float


def css_colour(colour: tuple[int, int, int]) -> str:
    """As CSS writes it.

    >>> css_colour((255, 0, 16))
    '#ff0010'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def class_table(
    taxonomy: Taxonomy, results: Mapping[str, Any], matrix: ConfusionMatrix | None
) -> tuple[tuple[str, ...], tuple[ClassRow, ...]]:
    """The titles of the per-class figures that the results have, and a row for each class."""
    columns = [(title, _per_class(results.get(key), taxonomy.num_classes)) for key, title in PER_CLASS]
    columns = [(title, values) for title, values in columns if values is not None]
    shares = _shares(matrix)
    rows = tuple(
        ClassRow(name, css_colour(taxonomy.colours[i]), shares[i] if shares else None, tuple(v[i] for _, v in columns if v))
        for i, name in enumerate(taxonomy.names)
    )
    return tuple(title for title, _ in columns), rows


def _per_class(found: Any, num_classes: int) -> list[float | None] | None:
    values = found.get("per_class") if isinstance(found, Mapping) else found
    return values if isinstance(values, list) and len(values) == num_classes else None


def _shares(matrix: ConfusionMatrix | None) -> list[float]:
    if matrix is None or not matrix.truth_pixels.any():
        return []
    return [float(v) for v in matrix.truth_pixels / matrix.truth_pixels.sum()]


def row_shares(matrix: ConfusionMatrix) -> list[list[float | None]]:
    """(K, K) shares of each true class's pixels by what they were taken for; None in the row of an absent class."""
    truth = matrix.truth_pixels
    return [[float(c) / int(n) if n else None for c in row] for row, n in zip(matrix.counts, truth, strict=True)]


def confusions(matrix: ConfusionMatrix, taxonomy: Taxonomy) -> list[Confused]:
    """Every pair of different classes that was confused at all, the largest share of the true class first."""
    truth = matrix.truth_pixels
    wrong = int(truth.sum() - np.trace(matrix.counts))
    found = [
        Confused(taxonomy.names[t], taxonomy.names[p], n, n / int(truth[t]), n / wrong)
        for t, p in np.argwhere(matrix.counts).tolist()
        if t != p
        for n in [int(matrix.counts[t, p])]
    ]
    return sorted(found, key=lambda c: (-c.share, -c.pixels))


def never_predicted(matrix: ConfusionMatrix, taxonomy: Taxonomy) -> list[str]:
    """Classes that are in the truth and in no prediction."""
    pairs = zip(taxonomy.names, matrix.truth_pixels, matrix.predicted_pixels, strict=True)
    return [name for name, truth, predicted in pairs if truth and not predicted]


def calibration_words(calibration: Mapping[str, Any]) -> str:
    """What a reliability table amounts to, in a sentence; nothing when no pixel was counted."""
    table = calibration["table"]
    columns = zip(table["count"], table["confidence"], table["accuracy"], strict=True)
    filled = [(n, c, a) for n, c, a in columns if n]
    total = sum(n for n, _, _ in filled)
    if not total:
        return ""
    confidence = sum(n * c for n, c, _ in filled) / total
    accuracy = sum(n * a for n, _, a in filled) / total
    gap = confidence - accuracy
    verdict = "over-confident" if gap > 0.02 else "under-confident" if gap < -0.02 else "about as sure as it is right"
    return f"The model is {verdict}: its mean confidence is {percent(confidence)}, and {percent(accuracy)} of the pixels are right."


def percent(share: float) -> str:
    """A share for reading.

    >>> percent(0.314), percent(0.042), percent(0.00004), percent(0)
    ('31 %', '4.2 %', '<0.1 %', '0 %')
    """
    if not share or math.isnan(share):
        return "0 %" if not share else "-"
    if share < 0.001:
        return "<0.1 %"
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"
