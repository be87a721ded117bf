"""The worst regions of a set: connected wrong pixels of one true and one predicted class, the largest of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from perpixel.core import IGNORE
from perpixel.data.samples import Sample
from perpixel.metrics import ImageErrors, components
from perpixel.metrics.error_counts import Flags
from perpixel.metrics.regions import BOUNDARY, INCONSPICUOUS, LEFT, MISMATCHED

NAMES = {MISMATCHED: "mismatched", INCONSPICUOUS: "inconspicuous", BOUNDARY: "boundary"}


@dataclass(frozen=True)
class WrongRegion:
    """A region of `pixels` pixels of class `truth` that were taken for `predicted` (255: for none).

    kind is what most of its pixels are, as one image tells it; mask (h, w) says which pixels of the box from
    (top, left) it is; contrast is that of the object it lies in, NaN where that was found.
    """

    sample: Sample
    truth: int
    predicted: int
    kind: int
    pixels: int
    top: int
    left: int
    mask: NDArray[np.bool_]
    contrast: float


@dataclass
class WorstRegions:
    """Keeps the `most` largest regions of each kind.

    Args:
        most: how many of each kind.
        only: a class that must be the true or the predicted one; None for all.
    """

    most: int = 4
    only: int | None = None
    found: dict[int, list[WrongRegion]] = field(default_factory=lambda: {kind: [] for kind in (*NAMES, LEFT)})

    def add(self, sample: Sample, errors: ImageErrors) -> None:
        """Looks at an image."""
        if not len(errors.place):
            return
        wrong = np.zeros(errors.size[0] * errors.size[1], np.int64)
        wrong[errors.place] = 1 + errors.truth.astype(np.int64) * 256 + errors.predicted
        regions, count = components(wrong.reshape(errors.size))
        of = regions.ravel()[errors.place]
        pixels = np.bincount(of, minlength=count)
        shares = np.array([np.bincount(of[errors.kind == kind], minlength=count) for kind in self.found])
        main = shares.argmax(axis=0)
        first = np.zeros(count, np.int64)
        first[of] = np.arange(len(of))
        for place, kind in enumerate(self.found):
            chosen = np.flatnonzero((main == place) & (pixels > self._least(kind)) & self._wanted(errors, first))
            for r in chosen[np.argsort(-pixels[chosen])][: self._room(kind)].tolist():
                self._keep(kind, _region(sample, errors, regions, r, int(first[r]), kind, int(pixels[r])))

    def _wanted(self, errors: ImageErrors, first: NDArray[Any]) -> Flags:
        if self.only is None:
            return np.ones(len(first), bool)
        return np.asarray((errors.truth[first] == self.only) | (errors.predicted[first] == self.only))

    def _room(self, kind: int) -> int:
        return self.most * 4 if kind == LEFT else self.most  # these are divided in two at the end

    def _least(self, kind: int) -> int:
        kept = self.found[kind]
        return kept[-1].pixels if len(kept) == self._room(kind) else 0

    def _keep(self, kind: int, region: WrongRegion) -> None:
        kept = sorted([*self.found[kind], region], key=lambda r: -r.pixels)
        self.found[kind] = kept[: self._room(kind)]

    def by_kind(self, alike: Flags) -> dict[str, Sequence[WrongRegion]]:
        """Kind -> its regions, the largest first; a kind that has none is left out.

        Args:
            alike: (K, K + 1) which classes are look-alikes.
        """
        left = self.found[LEFT]
        confused = [r for r in left if r.predicted != IGNORE and alike[r.truth, r.predicted]]
        rest = [r for r in left if r.predicted == IGNORE or not alike[r.truth, r.predicted]]
        kinds = {
            "mismatched": self.found[MISMATCHED],
            "confused": confused[: self.most],
            "inconspicuous": self.found[INCONSPICUOUS],
            "boundary": self.found[BOUNDARY],
            "rest": rest[: self.most],
        }
        return {name: regions for name, regions in kinds.items() if regions}


def _region(
    sample: Sample, errors: ImageErrors, regions: NDArray[np.int32], r: int, first: int, kind: int, pixels: int
) -> WrongRegion:
    whole = regions == r
    box = ndimage.find_objects(whole.view(np.uint8))[0]
    contrast = float(errors.objects.contrast[errors.owner[first]])
    truth, predicted = int(errors.truth[first]), int(errors.predicted[first])
    return WrongRegion(sample, truth, predicted, kind, pixels, box[0].start, box[1].start, whole[box].copy(), contrast)
