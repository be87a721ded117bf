"""The empirical receptive field: what part of an image really moves a unit, found by hiding patches of it.

Zhou, Khosla, Lapedriza, Oliva, Torralba, "Object detectors emerge in deep scene CNNs", ICLR 2015, arXiv:1412.6856,
section 3.2. For each unit the images that activate it most are taken; patches of 11 x 11 pixels of noise are slid over them
at a step of 3; the changes of the unit's highest value make a map; the maps are shifted so that the place of that value
lies in the middle, averaged over the images and thresholded.

The paper leaves open the noise (here one patch for all places and images, see `occluded.noise`), whether rises count (they
do, as falls), what is beyond an image's border (it counts for nothing: a mean is over the images that reach there), and the
threshold.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from perpixel.analyze.centred import CentredMean
from perpixel.core.image import Array

THRESHOLD = 0.1
THRESHOLDS = (0.05, 0.1, 0.2, 0.5)
"""Shares of a map's highest value at which sizes are given; `THRESHOLD` is the one of the table."""
SIDE, STEP, IMAGES, UNITS = 11, 3, 10, 10


def support_side(discrepancy: Array, side: int, step: int, threshold: float = THRESHOLD) -> float:
    """The side, in pixels, of a square as large as the place where a map is `threshold` of its highest value or more.

    An occluder moves a unit as soon as it touches the field, so that the map is wider than the field. For a unit that weighs
    all pixels of a square of w x w alike, w >= side, the width at a share t of the highest value is
    w + (1 - 2 t)(side - 1); that much is taken off. Such a unit's size does therefore not hang on the threshold (but for the
    corners of its square); that of a bell-shaped field does, and is given at several (`THRESHOLDS`). NaN for a map of zeros.
    """
    highest = float(discrepancy.max(initial=0.0))
    if highest <= 0:
        return math.nan
    square = math.sqrt(np.count_nonzero(discrepancy >= threshold * highest)) * step
    return max(1.0, square - (1 - 2 * threshold) * (side - 1))


@dataclass
class EmpiricalField:
    """Of one unit: the mean of its maps of changes, in steps of the grid, its highest place of activation in the middle."""

    side: int
    step: int
    mean: CentredMean = field(default_factory=CentredMean)

    def add(self, discrepancy: Array, centre: tuple[int, int]) -> None:
        """Takes in the map of one more image, with the index on its grid over which the unit lies."""
        self.mean.add(discrepancy, centre)

    @property
    def images(self) -> int:
        return self.mean.count

    def size(self, threshold: float = THRESHOLD) -> float:
        """The field's side in pixels, see `support_side`."""
        return support_side(self.mean.values, self.side, self.step, threshold)


@dataclass(frozen=True)
class Spread:
    """The mean and the standard deviation (over n - 1; NaN for one) of sizes over units; units: how many have a size."""

    mean: float
    deviation: float
    units: int


def spread(sizes: Iterable[float]) -> Spread:
    """Of those that are numbers.

    >>> spread([3.0, 5.0, math.nan])
    Spread(mean=4.0, deviation=1.4142135623730951, units=2)
    """
    found = np.array([s for s in sizes if not math.isnan(s)])
    if not len(found):
        return Spread(math.nan, math.nan, 0)
    return Spread(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else math.nan, len(found))
