"""How much context each class uses, over a set: mean context curves of objects that the model finds, beside its fields."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from perpixel.analyze.centred import CentredMean
from perpixel.analyze.effective import EffectiveField, fixed, gradient_energy
from perpixel.analyze.maps import LOGITS
from perpixel.core import IGNORE, Size
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.samples import Sample
from perpixel.explain.context import ContextCurve, Fill, Kept, context_curve, doubling
from perpixel.explain.fields import logits_side
from perpixel.explain.pixel import around, probabilities
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy
from perpixel.metrics.components import components
from perpixel.metrics.regions import FOUND

LEAST = 16
"""Pixels of the network's input below which an object is passed over."""


@dataclass
class ClassContext:
    """Of one class: a curve for each object, and the gradient energy about a pixel in its middle."""

    curves: list[ContextCurve] = field(default_factory=list)
    energy: CentredMean = field(default_factory=CentredMean)

    def mean(self) -> ContextCurve:
        """The mean curve; of one object or more."""
        points = [
            Kept(same[0].radius, float(np.mean([p.score for p in same])), float(np.mean([p.iou for p in same])))
            for same in zip(*(curve.points for curve in self.curves), strict=True)
        ]
        return ContextCurve(tuple(points), self.curves[0].fill, sum(curve.pixels for curve in self.curves))

    @property
    def effective(self) -> float:
        """The side of the square about a pixel that holds 90 % of the gradient's energy of the class's logit."""
        values = self.energy.values
        return EffectiveField(values / (values.sum() or 1.0), self.energy.count).side()


@dataclass(frozen=True)
class ContextStudy:
    """Radii, sides and pixels are those of the network's input.

    theoretical: side of the logits' field; None where it is the whole image or not known. classes: in the taxonomy's order.
    """

    taxonomy: Taxonomy
    radii: tuple[int, ...]
    theoretical: float | None
    classes: tuple[ClassContext, ...]


def study_context(
    predictor: Predictor,
    samples: Sequence[Sample],
    taxonomy: Taxonomy,
    objects: int,
    fill: Fill = "mean",
    report: Reporter | None = None,
) -> ContextStudy:
    """Hides more and more around objects of every class.

    Args:
        predictor: a network with its preprocessing; of tiles, flips and samples none is used.
        samples: with masks; looked at from all over, so that not all are neighbours, until every class has its objects.
        taxonomy: how the masks are read; of the predictor's classes.
        objects: of each class, at most. Of an image the largest one is taken that the model finds (half of its pixels or more
            are right when all is to be seen): what a model does not find with all context says nothing of context.
        fill: what replaces the rest, as in `context_curve`.
        report: told (done, total) samples.

    Raises:
        UserError: a file cannot be read, or another fill.
    """
    report, classes = report or Silent(), tuple(ClassContext() for _ in taxonomy.names)
    radii = tuple[int, ...]()
    with fixed(predictor.model):
        for done, sample in enumerate(scattered(samples)):
            report.step(done, len(samples), "context")
            if all(len(one.curves) >= objects for one in classes):
                break
            image, truth = predictor.preprocessing.read_pair(sample, taxonomy)
            tensor = predictor.preprocessing(image, sample.name).to(predictor.device)
            labels = _resized(truth, (tensor.shape[-2], tensor.shape[-1]))
            radii = radii or tuple(doubling(max(labels.shape)))
            wanted = [k for k, one in enumerate(classes) if len(one.curves) < objects and (labels == k).any()]
            _look(predictor, tensor, labels, {k: classes[k] for k in wanted}, radii, fill)
    report.step(len(samples), len(samples), "context")
    side = logits_side(predictor.model, predictor.preprocessing.channels)
    return ContextStudy(taxonomy, radii, side, classes)


def scattered(samples: Sequence[Sample]) -> list[Sample]:
    """All of them, so ordered that the first few come from all over (by multiples of the golden ratio)."""
    return [samples[n] for n in sorted(range(len(samples)), key=lambda n: n * (math.sqrt(5) - 1) / 2 % 1)]


def _resized(labels: Array, size: Size) -> Array:
    """Labels at another size, each place the nearest one's."""
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in zip(size, labels.shape, strict=True))
    return labels[rows.astype(int)[:, None], columns.astype(int)[None]]


def _look(
    predictor: Predictor,
    image: torch.Tensor,
    labels: Array,
    wanted: Mapping[int, ClassContext],
    radii: Sequence[int],
    fill: Fill,
) -> None:
    """Adds the largest object of each wanted class that is found in an image."""
    if not wanted:
        return
    numbers, _ = components(np.where(labels == IGNORE, 0, labels.astype(np.int64) + 1))
    for label, one in wanted.items():
        inside = labels == label
        counts = np.bincount(numbers[inside])
        largest = int(counts.argmax())
        if counts[largest] < LEAST:
            continue
        region = inside & (numbers == largest)
        at = _middle(region)
        part, place = around(image, at)
        top, left = at[0] - place[0], at[1] - place[1]
        region = region[top : top + part.shape[-2], left : left + part.shape[-1]]
        with torch.inference_mode():
            said = probabilities(predictor, part)[0].argmax(dim=0).cpu().numpy()
        if (said[region] == label).mean() < FOUND:
            continue
        one.curves.append(context_curve(lambda x: probabilities(predictor, x), part, region, label, fill, radii))
        one.energy.add(*gradient_energy(predictor.model, part, LOGITS, label, place))


def _middle(region: Array) -> tuple[int, int]:
    """The pixel of a region that lies nearest to the mean of them all."""
    rows, columns = np.nonzero(region)
    nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return int(rows[nearest]), int(columns[nearest])


def context_results(study: ContextStudy | None) -> dict[str, Any]:
    """{"context": radii, the theoretical field, and each class's figures}; {} where nothing was asked.

    A class's curve is None where no object of it was found; `used` is None where the whole image is.
    """
    if study is None:
        return {}
    rows = []
    for name, one in zip(study.taxonomy.names, study.classes, strict=True):
        row: dict[str, Any] = {"name": name, "objects": len(one.curves)}
        if one.curves:
            curve = one.mean()
            row |= {
                "score": [p.score for p in curve.points],
                "iou": [p.iou for p in curve.points],
                "used": curve.used if np.isfinite(curve.used) else None,
                "effective_side_90": one.effective if np.isfinite(one.effective) else None,
            }
        rows.append(row)
    fill = next((one.curves[0].fill for one in study.classes if one.curves), None)
    radii = [*study.radii, None]
    return {"context": {"radii": radii, "fill": fill, "theoretical": study.theoretical, "classes": rows}}
