"""What a model's confidence is worth: reliability of each class, and the risk that is left when it may abstain."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.metrics.confusion import Floats, Ints, divide


class ClassReliability:
    """The reliability diagram of each class: of the pixels predicted as it, by confidence, how many are right.

    Args:
        num_classes: K.
        num_bins: of equal width; a confidence c is in bin ceil(c x num_bins) - 1.
        ignore_index: true pixels that count for nothing.

    Source: as `CalibrationError`, whose table is the sum over classes of this one.
    """

    def __init__(self, num_classes: int, num_bins: int = 15, ignore_index: int = IGNORE) -> None:
        self.num_classes, self.num_bins, self.ignore_index = num_classes, num_bins, ignore_index
        self.count: Ints = np.zeros((num_classes, num_bins), np.int64)
        self.correct: Ints = np.zeros((num_classes, num_bins), np.int64)
        self.confidence_sum: Floats = np.zeros((num_classes, num_bins))

    def update(self, confidence: NDArray[Any], prediction: NDArray[Any], target: NDArray[Any]) -> None:
        """Adds an image: (H, W) confidences in [0, 1] and labels."""
        valid = (target != self.ignore_index) & (prediction != self.ignore_index)
        sure, p = confidence[valid].astype(np.float64), prediction[valid]
        bins = np.clip(np.ceil(sure * self.num_bins).astype(np.int64) - 1, 0, self.num_bins - 1)
        codes, shape = p.astype(np.int64) * self.num_bins + bins, self.count.shape
        self.count += np.bincount(codes, minlength=self.count.size).reshape(shape)
        self.correct += np.bincount(codes[p == target[valid]], minlength=self.count.size).reshape(shape)
        self.confidence_sum += np.bincount(codes, sure, self.count.size).reshape(shape)

    @property
    def error(self) -> Floats:
        """(K,) expected calibration error of the pixels predicted as each class; NaN where none is."""
        return divide(np.abs(self.correct - self.confidence_sum).sum(axis=1), self.count.sum(axis=1))

    @property
    def bias(self) -> Floats:
        """(K,) mean confidence less accuracy: above 0 the class is predicted more surely than it is right."""
        return divide((self.confidence_sum - self.correct).sum(axis=1), self.count.sum(axis=1))

    def table(self, label: int) -> dict[str, list[Any]]:
        """A class's diagram in the columns of `CalibrationError.table`; NaN in an empty bin."""
        edges = np.arange(self.num_bins + 1) / self.num_bins
        return {
            "lower": edges[:-1].tolist(),
            "upper": edges[1:].tolist(),
            "count": self.count[label].tolist(),
            "confidence": divide(self.confidence_sum[label], self.count[label]).tolist(),
            "accuracy": divide(self.correct[label], self.count[label]).tolist(),
        }


class RiskCoverage:
    """The error rate among the pixels of which a model is surest, for every share of pixels that is kept.

    Pixels are sorted by any uncertainty u in [0, 1], such as 1 - confidence, into bins by log2 u, 64 to an octave, so
    that the surest are told apart too; pixels of one bin count as equally sure. `area` is the mean risk over all
    coverages (AURC): the mean error rate for an order by chance, lower for an uncertainty that knows where it is wrong.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 2010; the area:
    Geifman, Uziel, El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.

    >>> curve = RiskCoverage()
    >>> curve.update(uncertainty=np.array([0.1, 0.2, 0.3, 0.4]), wrong=np.array([False, False, False, True]))
    >>> coverage, risk = curve.curve()
    >>> coverage.tolist(), risk.tolist()
    ([0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.0, 0.25])
    """

    _PER_OCTAVE, _OCTAVES = 64, 24

    def __init__(self) -> None:
        bins = self._PER_OCTAVE * self._OCTAVES + 1
        self.count: Ints = np.zeros(bins, np.int64)
        self.wrong: Ints = np.zeros(bins, np.int64)

    def update(self, uncertainty: NDArray[Any], wrong: NDArray[Any]) -> None:
        """Adds pixels, each with its uncertainty in [0, 1] and whether it is wrong; leave ignored ones out."""
        smallest = 2.0**-self._OCTAVES
        octave = np.log2(np.maximum(uncertainty, smallest), dtype=np.float32) + self._OCTAVES
        bins = np.clip(np.rint(octave * self._PER_OCTAVE).astype(np.int64), 0, len(self.count) - 1)
        self.count += np.bincount(bins, minlength=len(self.count))
        self.wrong += np.bincount(bins[wrong.astype(bool)], minlength=len(self.count))

    def curve(self) -> tuple[Floats, Floats]:
        """(n,) coverages and (n,) risks where another bin is taken in, from the surest; empty where nothing was added."""
        some = self.count > 0
        kept, wrong = np.cumsum(self.count[some]), np.cumsum(self.wrong[some])
        return divide(kept, np.full(len(kept), self.count.sum())), divide(wrong, kept)

    @property
    def risk(self) -> float:
        """The error rate with nothing left out; NaN where nothing was added."""
        return float(divide(self.wrong.sum(), self.count.sum()))

    @property
    def area(self) -> float:
        """The mean of the risk over coverages from 0 to 1."""
        some = self.count > 0
        n, e = self.count[some].astype(float), self.wrong[some].astype(float)
        if not n.size:
            return math.nan
        before, wrong = np.cumsum(n) - n, np.cumsum(e) - e
        # within a bin of rate r the risk at x is (wrong + r (x - before)) / x: its integral, exactly
        rate = e / n
        grown = np.log(np.divide(before + n, before, out=np.ones_like(n), where=before > 0))
        return float((rate * n + (wrong - rate * before) * grown).sum() / n.sum())

    @property
    def best_area(self) -> float:
        """The area if all wrong pixels were the least sure ones: r + (1 - r) ln(1 - r) for an error rate r."""
        r = self.risk
        return r + (1 - r) * math.log1p(-r) if r < 1 else r
