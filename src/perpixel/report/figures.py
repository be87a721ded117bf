"""From counts to what the page's tables say: classes, confusions, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perpixel.labels import Taxonomy
from perpixel.metrics import ConfusionMatrix

PER_CLASS = {
    "iou": "IoU",
    "class_accuracy": "accuracy",
    "boundary_f1": "boundary F1",
    "boundary_iou": "boundary IoU",
    "trimap": "trimap IoU",
}
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class ClassRow:
    """One class: its share of the true pixels (None when not counted) and its figures, None where it has none."""

    name: str
    colour: str
    share: float | None
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class ClassTable:
    """The titles of the figures, a row a class, and the mean of each figure."""

    titles: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    means: tuple[float | None, ...]


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


def class_table(taxonomy: Taxonomy, results: Mapping[str, Any], matrix: ConfusionMatrix | None) -> ClassTable:
    """The per-class figures that the results have, their means as the results give them, and a row for each class."""
    per_class = {key: _per_class(results.get(key), taxonomy.num_classes) for key in PER_CLASS}
    columns = {key: values for key, values in per_class.items() if values is not None}
    shares = _shares(matrix) or [None] * taxonomy.num_classes
    rows = tuple(
        ClassRow(name, css_colour(colour), shares[i], tuple(values[i] for values in columns.values()))
        for i, (name, colour) in enumerate(zip(taxonomy.names, taxonomy.colours, strict=True))
    )
    return ClassTable(tuple(PER_CLASS[k] for k in columns), rows, tuple(_mean(results, k) for k in columns))


def _mean(results: Mapping[str, Any], key: str) -> float | None:
    found = results.get(key)
    value = found.get("mean") if isinstance(found, Mapping) else results.get(f"mean_{key}")
    return float(value) if value is not None else None


def _per_class(found: Any, num_classes: int) -> list[float | None] | None:
    values = found.get("per_class") if isinstance(found, Mapping) else found
    return values if isinstance(values, list) and len(values) == num_classes else None


def _shares(matrix: ConfusionMatrix | None) -> list[float | None]:
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
    mean = f"its mean confidence is {percent(confidence)}, and {percent(accuracy)} of the pixels are right"
    return f"The model is {verdict}: {mean}."


def percent(share: float) -> str:
    """A share for reading.

    >>> percent(0.314), percent(0.042), percent(0.00004), percent(0)
    ('31\xa0%', '4.2\xa0%', '<0.1\xa0%', '0\xa0%')
    """
    if 0 < share < 0.001:
        return "<0.1\N{NO-BREAK SPACE}%"
    digits = 1 if 0 < share < 0.0995 else 0
    return f"{share * 100:.{digits}f}\N{NO-BREAK SPACE}%"
