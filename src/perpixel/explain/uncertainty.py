"""Where a model is unsure, by three measures, and which of them knows best where it is wrong.

    confidence   1 - the probability of the predicted class, of one answer
    dropout      the spread of answers with dropout on (Monte-Carlo dropout, see `infer.monte_carlo`)
    views        the spread of answers for the image mirrored and at other sizes (test-time augmentation)

A spread is the variance of the probabilities, averaged over the classes, and four times that, so that it is in [0, 1].
All three are held against the wrong pixels of the one plain answer.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.samples import Sample
from perpixel.infer import Predictor
from perpixel.infer.monte_carlo import RunningMoments
from perpixel.labels import Taxonomy
from perpixel.metrics import RiskCoverage

SAMPLES = 20
SCALES = (0.75, 1.0, 1.25)
SHOWN = 3


@dataclass(frozen=True)
class Unsure:
    """An image, its truth and plain answer (H, W), and measure -> (H, W) float32 in [0, 1]."""

    sample: Sample
    image: Array
    truth: Array
    labels: Array
    maps: dict[str, Array]


@dataclass
class UncertaintyStudy:
    """Measure -> its risk and coverage; the first images with their maps; `note` says what could not be measured."""

    curves: dict[str, RiskCoverage] = field(default_factory=dict)
    shown: list[Unsure] = field(default_factory=list)
    note: str = ""
    images: int = 0

    def add(self, unsure: Unsure) -> None:
        """Adds an image."""
        self.images += 1
        valid = unsure.truth != IGNORE
        wrong = (unsure.labels != unsure.truth)[valid]
        for measure, values in unsure.maps.items():
            self.curves.setdefault(measure, RiskCoverage()).update(values[valid], wrong)
        if len(self.shown) < SHOWN:
            self.shown.append(unsure)


def study_uncertainty(
    predictor: Predictor, samples: Sequence[Sample], taxonomy: Taxonomy, report: Reporter | None = None
) -> UncertaintyStudy:
    """Asks for each sample once plainly, `SAMPLES` times with dropout on, and in six views.

    Raises:
        UserError: a file cannot be read.
    """
    study, report = UncertaintyStudy(), report or Silent()
    for done, sample in enumerate(samples):
        report.step(done, len(samples))
        image, truth = predictor.preprocessing.read_pair(sample, taxonomy)
        plain = predictor.predict(image, probabilities=True)
        maps = {"confidence": (1 - plain.probabilities.max(axis=0)).clip(0, 1)}
        try:
            maps["dropout"] = (4 * predictor.predict(image, samples=SAMPLES, probabilities=True).uncertainty()).clip(
                0, 1
            )
        except UserError as error:
            study.note = str(error)
        maps["views"] = (4 * view_spread(predictor, image)).clip(0, 1)
        study.add(Unsure(sample, plain.image, truth, plain.labels, maps))
    report.step(len(samples), len(samples))
    return study


def view_spread(predictor: Predictor, image: Array) -> Array:
    """(H, W) float32: the variance of the probabilities over the views of an image, averaged over the classes."""
    moments = RunningMoments()
    for probabilities in _views(predictor, image):
        moments.add(torch.from_numpy(probabilities))
    spread: Array = moments.variance.mean(dim=0).numpy()
    return spread


def _views(predictor: Predictor, image: Array) -> Iterator[Array]:
    """(K, H, W) of each scale, of the image and of its mirror image turned back."""
    for scale in SCALES:
        scaled = copy.copy(predictor)
        scaled.preprocessing = replace(predictor.preprocessing, scale=predictor.preprocessing.scale * scale)
        yield scaled.predict(image, probabilities=True).probabilities
        mirrored = np.ascontiguousarray(image[:, ::-1])
        yield np.ascontiguousarray(scaled.predict(mirrored, probabilities=True).probabilities[..., ::-1])


def spread_over(samples: Sequence[Sample], count: int) -> list[Sample]:
    """So many samples, evenly over all.

    >>> from pathlib import Path
    >>> [s.name for s in spread_over([Sample(str(i), Path(), None) for i in range(10)], 3)]
    ['0', '4', '9']
    """
    places = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int))
    return [samples[i] for i in places]
