"""Measures a detector on a split: whole images, boxes in each image's own pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.samples import Sample
from perpixel.detection.average_precision import IOU, DetectionEvaluation, match_in_image
from perpixel.detection.objects import Detections, Objects
from perpixel.detection.truth import read_objects
from perpixel.infer.detector import SHOWN, BoxPredictor
from perpixel.labels import Taxonomy


@dataclass(frozen=True)
class ImageBoxes:
    """One image's own figures: boxes of score 0.5 and more that are right and wrong, and objects missed."""

    sample: Sample
    right: int
    wrong: int
    missed: int

    @property
    def f1(self) -> float:
        """2 right / (2 right + wrong + missed), NaN where there is nothing to find and nothing was found."""
        every = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / every if every else math.nan


@dataclass(frozen=True)
class EvaluatedBoxes:
    """What `evaluate_boxes` found: all figures with their curves, and every image's own."""

    evaluation: DetectionEvaluation
    images: tuple[ImageBoxes, ...]

    @property
    def results(self) -> dict[str, Any]:
        """All figures, ready for JSON, with the convention that they follow."""
        return self.evaluation.results()

    def worst(self, n: int) -> list[ImageBoxes]:
        """The n images with the lowest F1, worst first."""
        return sorted((i for i in self.images if not math.isnan(i.f1)), key=lambda i: i.f1)[:n]


def evaluate_boxes(
    predictor: BoxPredictor,
    samples: Sequence[Sample],
    taxonomy: Taxonomy | None = None,
    report: Reporter | None = None,
) -> EvaluatedBoxes:
    """Evaluates on every sample.

    Args:
        predictor: what is measured; the objects of a mask are found by its rule.
        samples: with masks.
        taxonomy: how the masks are read; it must have the predictor's classes of objects. None takes the predictor's.
        report: told (done, total) before each image and at the end; it may raise to stop.

    Raises:
        UserError: a class is missing, or a file cannot be read.
    """
    taxonomy, report = taxonomy or predictor.taxonomy, report or Silent()
    missing = [name for name in predictor.names if name not in taxonomy.names]
    if missing:
        raise UserError(
            f"the data has no class {', '.join(missing)}, which the model finds; it has {', '.join(taxonomy.names)}"
        )
    evaluation, images = DetectionEvaluation(predictor.names, predictor.detection.most), []
    for done, sample in enumerate(samples):
        report.step(done, len(samples))
        takes = predictor.preprocessing
        image, truth = read_objects(sample, taxonomy, predictor.rule, takes.mean_of_bands, takes.channels)
        found = predictor.find(image, str(sample.image))
        evaluation.update(truth, found, (image.shape[0], image.shape[1]))
        images.append(_scored(sample, truth, found))
    report.step(len(samples), len(samples))
    return EvaluatedBoxes(evaluation, tuple(images))


def _scored(sample: Sample, truth: Objects, found: Detections) -> ImageBoxes:
    right = wrong = 0
    for label in np.unique([*truth.classes.tolist(), *found.classes.tolist()]).tolist():
        shown = (found.classes == label) & (found.scores >= SHOWN)
        marks = match_in_image(found.boxes[shown].numpy(), truth.pick(truth.classes == label), IOU)
        right, wrong = right + int((marks == 1).sum()), wrong + int((marks == 0).sum())
    return ImageBoxes(sample, right, wrong, int((~truth.difficult & ~truth.crowd).sum()) - right)
