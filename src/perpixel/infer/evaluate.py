"""Measures a predictor on a split: whole images at their own size, one pass for all metrics."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.loader import read_pair
from perpixel.data.samples import Sample
from perpixel.infer.predictor import Predictor
from perpixel.labels import Taxonomy
from perpixel.metrics import METRICS, Evaluation, image_mean_iou


@dataclass(frozen=True)
class ImageScore:
    """One image's own figure: the mean IoU over the classes in its truth (not the set's mIoU), NaN if it has no labels."""

    sample: Sample
    image_mean_iou: float


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` found: the streaming evaluation with its counts, and every image's own score."""

    evaluation: Evaluation
    images: tuple[ImageScore, ...]

    @property
    def results(self) -> dict[str, Any]:
        """All figures, ready for JSON, with the convention that they follow."""
        return self.evaluation.results()

    def worst(self, n: int) -> list[ImageScore]:
        """The n images with the lowest scores, worst first."""
        return self._ranked()[:n]

    def median(self, n: int) -> list[ImageScore]:
        """The n images around the median score."""
        ranked = self._ranked()
        first = max(0, (len(ranked) - n) // 2)
        return ranked[first : first + n]

    def _ranked(self) -> list[ImageScore]:
        return sorted((i for i in self.images if not math.isnan(i.image_mean_iou)), key=lambda i: i.image_mean_iou)


def evaluate(
    predictor: Predictor,
    samples: Sequence[Sample],
    taxonomy: Taxonomy | None = None,
    metrics: Sequence[str] = METRICS,
    flip: bool = False,
    report: Reporter | None = None,
) -> Evaluated:
    """Evaluates on every sample; the prediction is brought to the mask's size, never the reverse.

    Args:
        predictor: what is measured.
        samples: with masks.
        taxonomy: how the masks are read; its class names must be the predictor's. None takes the predictor's own.
        metrics: which, of `METRICS`.
        flip: average with the mirrored image's prediction.
        report: told (done, total) before each image and at the end; it may raise to stop.

    Raises:
        UserError: the classes differ, or a file cannot be read.
    """
    taxonomy = taxonomy or predictor.taxonomy
    require_same_classes(predictor.taxonomy, taxonomy)
    evaluation = Evaluation(taxonomy.num_classes, tuple(metrics))
    scores = []
    for sample, probabilities, labels in _predictions(predictor, samples, taxonomy, flip, report or Silent()):
        prediction = probabilities.argmax(0).to(torch.uint8).cpu().numpy()
        evaluation.update(prediction, labels, probabilities.cpu() if "calibration" in metrics else None)
        scores.append(ImageScore(sample, image_mean_iou(prediction, labels, taxonomy.num_classes)))
    return Evaluated(evaluation, tuple(scores))


def _predictions(
    predictor: Predictor,
    samples: Sequence[Sample],
    taxonomy: Taxonomy,
    flip: bool,
    report: Reporter,
) -> Iterator[tuple[Sample, Tensor, Array]]:
    for done, sample in enumerate(samples):
        report.step(done, len(samples))
        image, labels = read_pair(sample, taxonomy)
        yield sample, predictor.probabilities(image, str(sample.image), flip), labels
    report.step(len(samples), len(samples))


def require_same_classes(model: Taxonomy, data: Taxonomy) -> None:
    """Raises UserError where a model and a data set do not have the same class names in the same order."""
    if model.names == data.names:
        return
    if len(model.names) != len(data.names):
        differ = (
            f"the model has {len(model.names)} classes ({_some(model)}), the data {len(data.names)} ({_some(data)})"
        )
    else:
        i = next(i for i, (a, b) in enumerate(zip(model.names, data.names, strict=True)) if a != b)
        differ = f'class {i} is "{model.names[i]}" for the model and "{data.names[i]}" in the data'
    raise UserError(f"{differ}; name the classes alike, in one order, in dataset.yaml")


def _some(taxonomy: Taxonomy, most: int = 6) -> str:
    return ", ".join(taxonomy.names[:most]) + (", ..." if taxonomy.num_classes > most else "")
