"""The worst regions of a set: connected wrong pixels of one true and one predicted class."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from perpixel.core import IGNORE
from perpixel.data.samples import Sample
from perpixel.metrics import KINDS, ImageErrors, components
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
    """Keeps the largest region of each kind and pair of classes: frames of a video all have the same worst one.

    Args:
        most: how many of each kind `by_kind` gives.
        only: a class that must be the true or the predicted one; None for all.
    """

    most: int = 4
    only: int | None = None
    found: dict[tuple[int, int, int], WrongRegion] = field(default_factory=dict)

    def add(self, sample: Sample, errors: ImageErrors) -> None:
        """Looks at an image."""
        if not self.most or not len(errors.place):
            return
        wrong = np.zeros(errors.size[0] * errors.size[1], np.int64)
        wrong[errors.place] = 1 + errors.truth.astype(np.int64) * 256 + errors.predicted
        regions, count = components(wrong.reshape(errors.size))
        of = regions.ravel()[errors.place]
        pixels = np.bincount(of, minlength=count)
        kinds = np.argmax([np.bincount(of[errors.kind == k], minlength=count) for k in (*NAMES, LEFT)], axis=0)
        first = np.zeros(count, np.int64)
        first[of] = np.arange(len(of))
        for r in np.argsort(-pixels)[: np.count_nonzero(pixels)].tolist():
            pair = int(errors.truth[first[r]]), int(errors.predicted[first[r]])
            key = ((*NAMES, LEFT)[kinds[r]], *pair)
            if (self.only is None or self.only in pair) and self._is_larger(key, int(pixels[r])):
                self.found[key] = _region(sample, errors, regions == r, int(first[r]), key[0])

    def _is_larger(self, key: tuple[int, int, int], pixels: int) -> bool:
        return key not in self.found or pixels > self.found[key].pixels

    def by_kind(self, alike: Flags) -> dict[str, Sequence[WrongRegion]]:
        """Kind -> its regions, the largest first; a kind that has none is left out.

        Args:
            alike: (K, K + 1) which classes are look-alikes.
        """
        kinds: dict[str, list[WrongRegion]] = {kind: [] for kind in KINDS}
        for region in sorted(self.found.values(), key=lambda r: -r.pixels):
            confused = region.predicted != IGNORE and bool(alike[region.truth, region.predicted])
            kinds[NAMES.get(region.kind, "confused" if confused else "rest")].append(region)
        return {kind: regions[: self.most] for kind, regions in kinds.items() if regions}


def _region(sample: Sample, errors: ImageErrors, whole: Flags, first: int, kind: int) -> WrongRegion:
    box = ndimage.find_objects(whole.view(np.uint8))[0]
    contrast = float(errors.objects.contrast[errors.owner[first]])
    truth, predicted = int(errors.truth[first]), int(errors.predicted[first])
    pixels, mask = int(np.count_nonzero(whole)), whole[box].copy()
    return WrongRegion(sample, truth, predicted, kind, pixels, box[0].start, box[1].start, mask, contrast)
