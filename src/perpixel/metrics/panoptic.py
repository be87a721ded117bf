"""Panoptic quality: are the objects and the regions found, each once, and how well does each fit?

Kirillov, He, Girshick, Rother, Dollár, "Panoptic Segmentation", CVPR 2019, arXiv:1801.00868, and panopticapi, whose
rules for void and crowds these are.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpixel.core.errors import UserError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
VOID = 0


@dataclass(frozen=True, eq=False)  # arrays have no one truth
class Segments:
    """A panoptic map: every pixel lies in one segment, or in none.

    Args:
        ids: (H, W) integers from 0 up, 0 (void) for a pixel of no segment.
        classes: the class of each segment, by id.
        crowd: ids of true segments that are several objects which nobody parted.

    Raises `UserError` where `ids` and `classes` do not name the same segments.

    >>> Segments(np.array([[7, 7, 0]]), {7: 2}).classes
    {7: 2}
    """

    ids: NDArray[Any]
    classes: Mapping[int, int]
    crowd: Collection[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.dtype.kind not in "iu" or (self.ids.size and self.ids.min() < 0):
            raise UserError(f"ids must be (H, W) integers from 0 up; got {self.ids.shape} of {self.ids.dtype}")
        shown, told = set(np.unique(self.ids).tolist()) - {VOID}, set(self.classes)
        if shown != told:
            raise UserError(
                f"every segment needs pixels and a class: {listed(shown - told)} have no class, {listed(told - shown)} no "
                "pixel (0 is void, and has neither)"
            )


def listed(ids: Iterable[int]) -> str:
    """The first five, or "none"."""
    ordered = sorted(ids)
    return ", ".join(map(str, ordered[:5])) + (", ..." if len(ordered) > 5 else "") if ordered else "none"


class PanopticQuality:
    """Counts over a whole set, by class:

        TP   pairs of a predicted and a true segment of the class with IoU above 0.5: there is at most one for each
        FP   predicted segments without a partner          FN   true ones without
        SQ   mean IoU of the pairs                         RQ   TP / (TP + FP / 2 + FN / 2)
        PQ   SQ * RQ

    Void pixels of the truth count in no union. A true crowd is no FN, and has no partner; a predicted segment without a
    partner is no FP where more than half of it is void, or a crowd of its class (the last of them by order of `classes`,
    should an image have several: as panopticapi). Means are over the classes that have a TP, FP or FN.

    Args:
        num_classes: K; classes are in [0, K).
        things: those of objects that can be counted; the others are stuff. A map has as many segments of a class as it
            says, of either kind.

    >>> truth, found = np.array([[1, 1, 1, 2]]), np.array([[1, 1, 3, 3]])
    >>> quality = PanopticQuality(2, things=[0])
    >>> quality.update(Segments(found, {1: 0, 3: 1}), Segments(truth, {1: 0, 2: 1}))
    >>> quality.pq.round(3).tolist(), quality.results()["pq"]
    ([0.667, 0.0], 0.3333333333333333)
    """

    def __init__(self, num_classes: int, things: Collection[int]) -> None:
        if num_classes < 1 or not all(0 <= k < num_classes for k in things):
            raise UserError(f"things must be classes in [0, {num_classes}); got {sorted(things)}")
        self.things = np.isin(np.arange(num_classes), sorted(things))
        self.overlap = np.zeros(num_classes)
        self.true_positives, self.false_positives, self.false_negatives = np.zeros((3, num_classes), np.int64)

    def update(self, predicted: Segments, truth: Segments) -> None:
        """Adds an image. Raises `UserError` for maps of different sizes, and for a class out of range."""
        if predicted.ids.shape != truth.ids.shape:
            raise UserError(f"the maps have different sizes: {predicted.ids.shape} and {truth.ids.shape}")
        for label in {*predicted.classes.values(), *truth.classes.values()}:
            if not 0 <= label < len(self.things):
                raise UserError(f"class {label} is not in [0, {len(self.things)})")
        shared = shared_pixels(truth.ids, predicted.ids)
        area = {p: int(n) for p, n in zip(*np.unique(predicted.ids, return_counts=True), strict=True)}
        true_area = {t: int(n) for t, n in zip(*np.unique(truth.ids, return_counts=True), strict=True)}
        pairs = {}
        for (t, p), common in shared.items():
            if VOID in (t, p) or t in truth.crowd or truth.classes[t] != predicted.classes[p]:
                continue
            iou = common / (area[p] + true_area[t] - common - shared.get((VOID, p), 0))
            if iou > 0.5:
                pairs[t] = p
                self.overlap[truth.classes[t]] += iou
        self._count(predicted, truth, pairs, shared, area)

    def _count(
        self,
        predicted: Segments,
        truth: Segments,
        pairs: Mapping[int, int],
        shared: Mapping[tuple[int, int], int],
        area: Mapping[int, int],
    ) -> None:
        for t, label in truth.classes.items():
            if t in pairs:
                self.true_positives[label] += 1
            elif t not in truth.crowd:
                self.false_negatives[label] += 1
        crowds = {label: t for t, label in truth.classes.items() if t in truth.crowd}
        partners = set(pairs.values())
        for p, label in predicted.classes.items():
            unclear = shared.get((VOID, p), 0) + (shared.get((crowds[label], p), 0) if label in crowds else 0)
            if p not in partners and unclear / area[p] <= 0.5:
                self.false_positives[label] += 1

    def merge(self, other: "PanopticQuality") -> None:
        """Adds what another one counted. Raises `UserError` for other classes."""
        if not np.array_equal(self.things, other.things):
            raise UserError("expected the same classes, things and stuff, on both sides")
        self.overlap += other.overlap
        self.true_positives += other.true_positives
        self.false_positives += other.false_positives
        self.false_negatives += other.false_negatives

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(K,): the classes that occur in truth or prediction."""
        return self.true_positives + self.false_positives + self.false_negatives > 0

    @property
    def sq(self) -> Floats:
        """(K,), 0 without a pair, NaN for a class that does not occur."""
        found = self.overlap / np.maximum(self.true_positives, 1)
        return np.where(self.seen, found, np.nan)

    @property
    def rq(self) -> Floats:
        """(K,), NaN for a class that does not occur."""
        every = self.true_positives + (self.false_positives + self.false_negatives) / 2
        return np.where(self.seen, self.true_positives / np.where(self.seen, every, 1), np.nan)

    @property
    def pq(self) -> Floats:
        """(K,), NaN for a class that does not occur."""
        return self.sq * self.rq

    def results(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """All figures, ready for JSON: means over all classes, things and stuff, None where none occurs; `per_class` by
        name or number."""
        labels = list(names) if names is not None else list(map(str, range(len(self.things))))
        if len(labels) != len(self.things):
            raise UserError(f"expected {len(self.things)} names; got {len(labels)}")
        figures = {"pq": self.pq, "sq": self.sq, "rq": self.rq}
        return {
            **self._means(np.ones_like(self.things)),
            "things": self._means(self.things),
            "stuff": self._means(~self.things),
            "per_class": {labels[k]: {f: float(v[k]) for f, v in figures.items()} for k in np.flatnonzero(self.seen)},
            "convention": f"panopticapi's PQ: IoU above 0.5, mean over {int(self.seen.sum())} of {len(labels)} classes",
        }

    def _means(self, of: NDArray[np.bool_]) -> dict[str, float | None]:
        chosen = of & self.seen
        figures = {"pq": self.pq, "sq": self.sq, "rq": self.rq}
        return {key: float(values[chosen].mean()) if chosen.any() else None for key, values in figures.items()}


def shared_pixels(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[tuple[int, int], int]:
    """How many pixels each pair of ids shares, for those that share any."""
    true_ids, t = np.unique(truth, return_inverse=True)
    found_ids, p = np.unique(predicted, return_inverse=True)
    codes, counts = np.unique(t.reshape(-1) * len(found_ids) + p.reshape(-1), return_counts=True)
    return {
        (int(true_ids[code // len(found_ids)]), int(found_ids[code % len(found_ids)])): int(n)
        for code, n in zip(codes.tolist(), counts.tolist(), strict=True)
    }
