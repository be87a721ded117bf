"""Measures a predictor on a split: whole images at their own size, one pass for all metrics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perpixel.bundle import Preprocessing
from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.notes import together
from perpixel.data.pairs import Noted, read_noted
from perpixel.data.samples import Dataset, Sample
from perpixel.infer.pieces import Piece
from perpixel.infer.predictor import Predictor, Question
from perpixel.labels import Taxonomy
from perpixel.metrics import METRICS, ConfusionMatrix, Evaluation, image_mean_iou

NAME_THEM = "name them in a dataset.yaml (perpixel check DATA --write)"


@dataclass(frozen=True)
class ImageScore:
    """One image's own figure: the mean IoU over the classes in its truth (not the set's mIoU), NaN if it has no labels."""

    sample: Sample
    image_mean_iou: float


@dataclass(frozen=True, repr=False)
class Evaluated:
    """What `evaluate` found: the streaming evaluation with its counts, every image's own score, the share of the pixels
    that counted for nothing because their mask value is ignored, and a line for each thing of images that was not taken as it is
    stored."""

    evaluation: Evaluation
    images: tuple[ImageScore, ...]
    ignored_share: float = 0.0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Such as Evaluated(mIoU 0.7671 over 11 of 11 classes, 233 images)."""
        found = self.evaluation.confusion
        over = f"{found.num_present} of {found.num_classes} classes"
        return f"Evaluated(mIoU {found.mean_iou:.4f} over {over}, {len(self.images)} images)"

    @property
    def results(self) -> dict[str, Any]:
        """All figures, ready for JSON, with the convention that they follow."""
        return {**self.evaluation.results(), "ignored_share": self.ignored_share}

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
    samples: Sequence[Sample] | Dataset,
    taxonomy: Taxonomy | None = None,
    metrics: Sequence[str] = METRICS,
    flip: bool = False,
    report: Reporter | None = None,
) -> Evaluated:
    """Evaluates on every sample; the prediction is brought to the mask's size, never the reverse.

    Args:
        predictor: what is measured.
        samples: with masks; or a data set, of which the split "val" is taken.
        taxonomy: how the masks are read; its class names must be the predictor's. None takes the data set's own if it has
            one, else the predictor's.
        metrics: which, of `METRICS`; no calibration where the predictor's probabilities do not sum to 1.
        flip: average with the mirrored image's prediction.
        report: told (done, total) before each image and at the end; it may raise to stop.

    Raises:
        UserError: the classes differ, a file cannot be read, or masks that name no classes are not those of the predictor's.
    """
    if isinstance(samples, Dataset):
        taxonomy, samples = taxonomy or samples.classes, samples.split("val")
    _refuse_others(samples)
    named = taxonomy is not None
    taxonomy = taxonomy or predictor.taxonomy
    require_same_classes(predictor.taxonomy, taxonomy)
    if not predictor.sums_to_one:
        metrics = [m for m in metrics if m != "calibration"]
    evaluation, scores = Evaluation(taxonomy.num_classes, tuple(metrics)), []
    report, ignored, pixels = report or Silent(), 0, 0
    notes: list[tuple[str, list[str]]] = []
    for done, sample in enumerate(samples):
        report.step(done, len(samples))
        read = read_measured(sample, taxonomy, predictor.preprocessing, named)
        notes.append((sample.name, read.notes))
        image, labels = read.image, read.labels
        prediction = _measured(predictor, Question(image, str(sample.image), flip), labels, evaluation)
        scores.append(ImageScore(sample, image_mean_iou(prediction, labels, taxonomy.num_classes)))
        ignored, pixels = ignored + int(np.count_nonzero(labels == IGNORE)), pixels + labels.size
    report.step(len(samples), len(samples))
    found = Evaluated(evaluation, tuple(scores), ignored / pixels if pixels else 0.0, together(notes))
    if not named:
        _refuse_other_values(taxonomy, evaluation.confusion, found.ignored_share)
    return found


def read_measured(sample: Sample, taxonomy: Taxonomy, takes: Preprocessing, named: bool) -> Noted:
    """A sample to measure a model on that takes such images; `named`: the data names its classes.

    Raises:
        UserError: as `read_noted`; or the classes are not named, and the mask's palette has them in another order.
    """
    read = read_noted(sample, taxonomy, takes.mean_of_bands, takes.stored)
    if read.order and not named:
        raise UserError(f"{sample.mask_path}: {read.order}; {NAME_THEM}")
    return read


def _measured(predictor: Predictor, question: Question, labels: Array, evaluation: Evaluation) -> Array:
    """The predicted labels of an image, which is added to the evaluation; probabilities are looked at piece by piece."""
    calibration = evaluation.calibration

    def see(piece: Piece) -> None:
        assert calibration is not None
        calibration.update(piece.values[0], labels[piece.place])

    prediction = predictor.answer(question, see=see if calibration is not None else None).labels
    evaluation.update(prediction, labels)
    return prediction


def _refuse_others(samples: Any) -> None:
    """Raises UserError where images, or the name of a folder, were given instead of samples with masks."""
    listed = samples if isinstance(samples, Sequence) else [samples]
    wrong = [type(s).__name__ for s in listed if not isinstance(s, Sample)]
    if wrong:
        raise UserError(
            f"expected samples with masks, got {wrong[0]}; give open_dataset(DATA), or a split of it: "
            'open_dataset(DATA).split("val")'
        )


def _refuse_other_values(taxonomy: Taxonomy, confusion: ConfusionMatrix, ignored_share: float) -> None:
    """Raises UserError where masks of unnamed classes were read by a model's values, and only one of them occurs.

    Masks of 0 and 255 are such for a model of 0 and 1: all of the foreground would be ignored, and the rest be right.
    """
    seen = [n for n, pixels in zip(taxonomy.names, confusion.truth_pixels, strict=True) if pixels]
    if len(seen) == 1 and taxonomy.num_classes > 1 and ignored_share > 0:
        raise UserError(
            f'of the model\'s {taxonomy.num_classes} classes only "{seen[0]}" is in these masks, and {ignored_share:.1%} of '
            f"their pixels are ignored; if their values mean classes, {NAME_THEM}"
        )


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
    raise UserError(
        f"{differ}; name the classes alike, in one order, in dataset.yaml, or relate them by --taxonomy FILE"
    )


def _some(taxonomy: Taxonomy, most: int = 6) -> str:
    return ", ".join(taxonomy.names[:most]) + (", ..." if taxonomy.num_classes > most else "")
