"""Two models on the same images: what the second does better, with paired intervals.

Both see every image, and each draw of the bootstrap takes the same images for both, so that what is hard about an image
does not count. A difference is the second's figure less the first's.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.samples import Sample
from perpixel.explain.error_results import plain
from perpixel.explain.errors import ErrorStudy, answers
from perpixel.explain.worst import WorstRegions
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy
from perpixel.metrics import CoOccurrence, ImageSums, draws, interval
from perpixel.metrics.bootstrap import DRAWS, LEVEL
from perpixel.metrics.confusion import Floats, Ints, divide, mean_of_known
from perpixel.metrics.error_counts import look_alikes

LOWER_IS_BETTER = "share of pixels"


@dataclass
class Comparison:
    """The studies of both, and of each image the valid pixels that only one of them has right."""

    first: ErrorStudy
    second: ErrorStudy
    only_first: list[int] = field(default_factory=list)
    only_second: list[int] = field(default_factory=list)


def compare_models(
    first: Predictor,
    second: Predictor,
    samples: Sequence[Sample],
    seen: CoOccurrence,
    taxonomy: Taxonomy | None = None,
    report: Reporter | None = None,
) -> Comparison:
    """Asks both models for every sample.

    Args:
        first, second: of the same classes.
        samples: with masks.
        seen: which classes the training set has together.
        taxonomy: how the masks are read; None takes the first model's.
        report: told (done, total).

    Raises:
        UserError: the classes differ, or a file cannot be read.
    """
    taxonomy = taxonomy or first.taxonomy
    studies = [ErrorStudy(taxonomy, seen, WorstRegions(0)) for _ in range(2)]
    found = Comparison(studies[0], studies[1])
    for sample, image, truth, both in answers((first, second), samples, taxonomy, report or Silent()):
        for study, said in zip(studies, both, strict=True):
            study.add(sample, image, truth, said.labels, said.probabilities.max(axis=0))
        valid = truth != IGNORE
        one, other = (valid & (said.labels == truth) for said in both)
        found.only_first.append(int(np.count_nonzero(one & ~other)))
        found.only_second.append(int(np.count_nonzero(other & ~one)))
    return found


def comparison_results(comparison: Comparison, groups: Sequence[Hashable] | None = None) -> dict[str, Any]:
    """Every figure of both, ready for JSON.

    Args:
        comparison: of two images or more.
        groups: the group of each image; None takes each for itself.

    Returns:
        `images`, `resampled`, `interval_level`; `figures`, each with `name`, `unit` ("IoU", higher is better, or "share
        of pixels", lower is better), `first`, `second`, `difference`, its `interval`, and `better`, the share of draws in
        which the second is better; and `differ`, the images by how many pixels the models differ in.

    Raises:
        UserError: one image, or one group of them.
    """
    n = len(comparison.only_first)
    weights = draws(range(n) if groups is None else groups)
    figures = [_difference(*row, weights) for row in _figures(comparison)]
    units = n if groups is None else len(set(groups))
    of = "images" if groups is None else "groups of images"
    return plain(
        {
            "images": n,
            "resampled": f"{units} {of}, {DRAWS} draws",
            "interval_level": LEVEL,
            "figures": figures,
            "differ": differing(comparison),
        }
    )


def differing(comparison: Comparison) -> list[dict[str, Any]]:
    """The images, those in which the models differ most first."""
    rows = zip(comparison.first.rows, comparison.only_first, comparison.only_second, strict=True)
    found = [{"name": row.sample.name, "only_first": a, "only_second": b} for row, a, b in rows]
    return sorted(found, key=lambda entry: -abs(entry["only_second"] - entry["only_first"]))


@dataclass(frozen=True)
class _Overlap:
    """The IoU of a class, or of all the mean."""

    sums: ImageSums
    label: int | None

    def __call__(self, weights: Ints) -> Floats:
        iou = self.sums.weighted(weights).iou
        if self.label is not None:
            return iou[:, self.label]
        return np.array([mean_of_known(row) for row in iou])


@dataclass(frozen=True)
class _Share:
    """Pixels of a kind / valid pixels."""

    pixels: Ints
    valid: Ints

    def __call__(self, weights: Ints) -> Floats:
        found: Floats = divide(weights @ self.pixels, weights @ self.valid)
        return found


def _figures(comparison: Comparison) -> Iterator[tuple[str, str, Any, Any]]:
    a, b = comparison.first, comparison.second
    yield "mIoU", "IoU", _Overlap(a.sums, None), _Overlap(b.sums, None)
    yield "mIoU near borders", "IoU", _Overlap(a.band_sums, None), _Overlap(b.band_sums, None)
    for label, name in enumerate(a.taxonomy.names):
        yield name, "IoU", _Overlap(a.sums, label), _Overlap(b.sums, label)
    valid = a.sums.truth.sum(axis=1)
    alike = look_alikes(a.counts.left + b.counts.left, a.counts.pixels + b.counts.pixels)
    kinds = a.kinds_by_image(alike), b.kinds_by_image(alike)
    for kind in kinds[0]:
        yield kind, LOWER_IS_BETTER, _Share(kinds[0][kind], valid), _Share(kinds[1][kind], valid)
    wrong = [_Share(np.sum(list(k.values()), axis=0), valid) for k in kinds]
    yield "all wrong pixels", LOWER_IS_BETTER, wrong[0], wrong[1]


def _difference(name: str, unit: str, first: Any, second: Any, weights: Ints) -> dict[str, Any]:
    whole = np.ones((1, weights.shape[1]), np.int64)
    one, other = float(first(whole)[0]), float(second(whole)[0])
    drawn = second(weights) - first(weights)
    known = drawn[~np.isnan(drawn)]
    better = known < 0 if unit == LOWER_IS_BETTER else known > 0
    return {
        "name": name,
        "unit": unit,
        "first": one,
        "second": other,
        "difference": other - one,
        "interval": list(interval(drawn)),
        "better": float(better.mean()) if known.size else float("nan"),
    }
