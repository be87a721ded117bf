"""What kinds of errors a model makes on a set, and what its figures are worth: one pass over the images.

image, truth ─ predictor ─ labels, confidence ─┬─ image_errors ── ErrorCounts, the worst regions
                                               ├─ counts of each image (for conventions and intervals)
                                               └─ confidence ──── reliability, risk and coverage
truth ─ LabelCeiling
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.pairs import read_labels
from perpixel.data.samples import Sample
from perpixel.explain.worst import WorstRegions
from perpixel.infer import Prediction, Predictor
from perpixel.infer.evaluate import require_same_classes
from perpixel.labels import Taxonomy
from perpixel.metrics import (
    ClassReliability,
    ConfusionMatrix,
    CoOccurrence,
    ErrorCounts,
    ImageErrors,
    ImageSums,
    LabelCeiling,
    RiskCoverage,
    TrimapIoU,
    image_errors,
)
from perpixel.metrics.confusion import Ints
from perpixel.metrics.conventions import class_sums
from perpixel.metrics.cooccurrence import scene
from perpixel.metrics.error_counts import Flags
from perpixel.metrics.regions import BOUNDARY, INCONSPICUOUS, LEFT, MISMATCHED


@dataclass(frozen=True)
class ImageRow:
    """One image's own counts: `class_sums` of all valid pixels, and of the `band` near a true border, (4,) `kinds` of
    wrong pixels as the image tells them, and the pairs that are LEFT: codes truth * (K + 1) + predicted, and their pixels."""

    sample: Sample
    whole: Ints
    band: Ints
    kinds: Ints
    left_pairs: Ints
    left_pixels: Ints


@dataclass
class ErrorStudy:
    """Everything that was counted; `add` takes an image.

    Args:
        taxonomy: the classes.
        seen: which classes the training set has together.
        worst: which regions to keep.
    """

    taxonomy: Taxonomy
    seen: CoOccurrence
    worst: WorstRegions = field(default_factory=WorstRegions)

    def __post_init__(self) -> None:
        K = self.taxonomy.num_classes
        self.counts, self.ceiling = ErrorCounts(K), LabelCeiling(K)
        self.reliability, self.risk = ClassReliability(K), RiskCoverage()
        self.rows: list[ImageRow] = []

    def add(self, sample: Sample, image: Array, truth: Array, prediction: Array, confidence: Array) -> None:
        """Adds an image.

        Args:
            sample: what it is.
            image: (H, W, C). truth, prediction: (H, W) labels.
            confidence: (H, W) float in [0, 1], the probability of the predicted class.
        """
        K = self.taxonomy.num_classes
        errors = image_errors(prediction, truth, self.seen.strange(scene(truth, K)), image)
        self.counts.add(errors)
        self.worst.add(sample, errors)
        self.ceiling.update(truth)
        self.reliability.update(confidence, prediction, truth)
        valid = truth != IGNORE
        self.risk.update(1 - confidence[valid], (prediction != truth)[valid])
        self.rows.append(_row(sample, prediction, truth, errors, K))

    def require_class(self, label: int) -> None:
        """Raises UserError where a class occurs neither in the truth nor in a prediction of what was added."""
        sums = self.sums
        if not (sums.truth[:, label].any() or sums.predicted[:, label].any()):
            there = [n for n, pixels in zip(self.taxonomy.names, self.counts.pixels, strict=True) if pixels]
            raise UserError(
                f'"{self.taxonomy.names[label]}" is in none of these {len(self.rows)} masks and was never predicted; '
                f"there are: {', '.join(there) or 'no classes at all'}"
            )

    @property
    def sums(self) -> ImageSums:
        """(N, K) counts of each image."""
        return ImageSums.stacked([row.whole for row in self.rows])

    @property
    def band_sums(self) -> ImageSums:
        """(N, K) counts of each image near its true borders."""
        return ImageSums.stacked([row.band for row in self.rows])

    def kinds_by_image(self, alike: Flags | None = None) -> dict[str, Ints]:
        """Kind -> (N,) wrong pixels of each image.

        Args:
            alike: (K, K + 1) the look-alikes; None takes those of this study.
        """
        flags = (self.counts.alike if alike is None else alike).ravel()
        kinds = np.array([row.kinds for row in self.rows]).reshape(-1, 4)
        confused = np.array([row.left_pixels[flags[row.left_pairs]].sum() for row in self.rows], np.int64)
        return {
            "mismatched": kinds[:, MISMATCHED],
            "confused": confused,
            "inconspicuous": kinds[:, INCONSPICUOUS],
            "boundary": kinds[:, BOUNDARY],
            "rest": kinds[:, LEFT] - confused,
        }


def _row(
    sample: Sample, prediction: NDArray[Any], truth: NDArray[Any], errors: ImageErrors, num_classes: int
) -> ImageRow:
    matrix, band = ConfusionMatrix(num_classes), TrimapIoU(num_classes)
    matrix.update(prediction, truth)
    band.update(prediction, truth)
    left = errors.kind == LEFT
    predicted = np.minimum(errors.predicted[left].astype(np.int64), num_classes)
    codes = errors.truth[left].astype(np.int64) * (num_classes + 1) + predicted
    pairs, pixels = np.unique(codes, return_counts=True)
    kinds = np.bincount(errors.kind, minlength=4)
    return ImageRow(sample, class_sums(matrix), class_sums(band.matrix), kinds, pairs, pixels)


def seen_together(samples: Sequence[Sample], taxonomy: Taxonomy) -> CoOccurrence:
    """Counts the masks of a set, as a rule the training set.

    Raises:
        UserError: a mask cannot be read.
    """
    seen = CoOccurrence(taxonomy.num_classes)
    with ThreadPoolExecutor(2) as pool:
        for labels in pool.map(lambda s: read_labels(s, taxonomy), samples):
            seen.update(labels)
    return seen


def study_errors(
    predictor: Predictor,
    samples: Sequence[Sample],
    seen: CoOccurrence,
    taxonomy: Taxonomy | None = None,
    worst: WorstRegions | None = None,
    report: Reporter | None = None,
) -> ErrorStudy:
    """Predicts every sample and sorts its wrong pixels.

    Args:
        predictor: the model.
        samples: with masks.
        seen: which classes the training set has together (`seen_together`).
        taxonomy: how the masks are read; its class names must be the predictor's. None takes the predictor's own.
        worst: which regions to keep; the 4 largest of each kind by default.
        report: told (done, total).

    Raises:
        UserError: the classes differ, or a file cannot be read.
    """
    taxonomy = taxonomy or predictor.taxonomy
    study = ErrorStudy(taxonomy, seen, worst or WorstRegions())
    for sample, image, truth, (found,) in answers((predictor,), samples, taxonomy, report or Silent()):
        study.add(sample, image, truth, found.labels, found.probabilities.max(axis=0))
    return study


def answers(
    predictors: Sequence[Predictor], samples: Sequence[Sample], taxonomy: Taxonomy, report: Reporter
) -> Iterator[tuple[Sample, Array, Array, list[Prediction]]]:
    """Each sample, its image and truth, and what each model says of it."""
    for predictor in predictors:
        require_same_classes(predictor.taxonomy, taxonomy)
    for done, sample in enumerate(samples):
        report.step(done, len(samples))
        image, truth = predictors[0].preprocessing.read_pair(sample, taxonomy)
        yield sample, image, truth, [p.predict(image, probabilities=True) for p in predictors]
    report.step(len(samples), len(samples))
