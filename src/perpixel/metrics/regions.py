"""Why each wrong pixel of an image is wrong, from the connected regions of truth and prediction.

A *wrong pixel* has a true class and another label predicted. An *object* is a connected region of one class in the
truth (4 neighbours). Each wrong pixel is of the first of these kinds that fits, so that the kinds are disjoint and add
up to all wrong pixels:

    mismatched      the predicted class is strange to the scene: it is not in the image's truth, and in the training
                    set it hardly ever occurs together with one of the classes that are (see `CoOccurrence.strange`)
    inconspicuous   the pixel's object was missed (less than `FOUND` of its pixels are right), and is small (at most
                    `SMALL` of the image's pixels) or faint (contrast below `FAINT`)
    boundary        the predicted class is in the truth within `border` pixels (Chebyshev): the prediction would be
                    right if the border lay that much elsewhere
    confused        what is left, where the two classes are look-alikes: over the whole set, of what is left of either
                    class, at least `ALIKE` of its pixels were given to the other (see `ErrorCounts`)
    rest            all other

The *contrast* of an object is the distance between its mean colour and that of the pixels around it (within `RING`
pixels), in standard deviations of the image's colours: the root of the mean over channels of the squared difference,
divided by the same root of the channels' variances.

Mismatched, confused and inconspicuous are the three errors of context in: Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene
Parsing Network", CVPR 2017, section 3.1, which shows them and defines none: the definitions are ours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from perpixel.core import IGNORE
from perpixel.metrics.components import components
from perpixel.metrics.confusion import Floats, Ints, label_pair

MISMATCHED, INCONSPICUOUS, BOUNDARY, LEFT = range(4)
"""Kinds of a wrong pixel as one image tells them; what is LEFT is confused or rest, which the whole set tells."""

FOUND = 0.5
SMALL = 1 / 300  # what COCO calls small, 32 x 32, in its 480 x 640
FAINT = 0.25
RING = 5
BORDER = 3

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Objects:
    """The R objects of an image: label (R,), pixels (R,), right (R,) of them, contrast (R,), NaN where it was not
    asked for or the image is not at hand, and box (R, 4): top, left, bottom, right, the last two exclusive."""

    label: Ints
    pixels: Ints
    right: Ints
    contrast: Floats
    box: Ints

    @property
    def missed(self) -> Flags:
        """(R,) whether less than `FOUND` of it was found."""
        return self.right < FOUND * self.pixels


@dataclass(frozen=True)
class ImageErrors:
    """The n wrong pixels of an image: place (n,) in the flattened map, truth (n,) and predicted (n,) labels
    (`ignore_index` may be predicted), kind (n,), distance (n,) to where the predicted class is true, in pixels, 0 for
    a kind that is not BOUNDARY, owner (n,) the number of its object. size (H, W); valid pixels are those with a class."""

    size: tuple[int, int]
    valid: int
    place: Ints
    truth: NDArray[Any]
    predicted: NDArray[Any]
    kind: NDArray[np.uint8]
    distance: NDArray[np.uint8]
    owner: NDArray[np.int32]
    objects: Objects


def image_errors(
    prediction: NDArray[Any],
    target: NDArray[Any],
    strange: Flags | None = None,
    image: NDArray[Any] | None = None,
    border: int = BORDER,
    ignore_index: int = IGNORE,
) -> ImageErrors:
    """Sorts the wrong pixels of one image.

    Args:
        prediction, target: (H, W) labels.
        strange: (K,) the classes that are strange to this scene; None for none.
        image: (H, W, C) of any scale, for the contrast; None calls no object faint.
        border: pixels, see *boundary*; 0 for none.
        ignore_index: the label that is not a class; predicted on a valid pixel it is wrong.

    Raises:
        UserError: sizes differ, or labels are no integers.
    """
    predicted, truth = label_pair(prediction, target)
    valid = truth != ignore_index
    wrong = valid & (predicted != truth)
    place = np.flatnonzero(wrong)
    t, p = truth.ravel()[place], predicted.ravel()[place]
    regions, count = components(truth)
    owner = regions.ravel()[place]
    objects = _objects(truth, regions, count, np.bincount(owner, minlength=count), image, valid)
    kind = np.full(len(place), LEFT, np.uint8)
    small = objects.pixels <= SMALL * truth.size
    overlooked = objects.missed & (small | (objects.contrast < FAINT))
    kind[overlooked[owner]] = INCONSPICUOUS
    if strange is not None:
        known = p != ignore_index
        kind[known] = np.where(strange[p[known]], MISMATCHED, kind[known])
    open_ = np.flatnonzero((kind == LEFT) & (p != ignore_index))
    distance = np.zeros(len(place), np.uint8)
    distance[open_] = _distance(truth, place[open_], p[open_], border, ignore_index)
    kind[distance > 0] = BOUNDARY
    size = (truth.shape[0], truth.shape[1])
    return ImageErrors(size, int(np.count_nonzero(valid)), place, t, p, kind, distance, owner, objects)


def _distance(truth: NDArray[Any], place: Ints, predicted: NDArray[Any], reach: int, outside: int) -> NDArray[np.uint8]:
    """(n,) the Chebyshev distance from each place to the nearest pixel whose truth is predicted there; 0 beyond reach."""
    wide = np.pad(truth, reach, constant_values=outside)
    rows, columns = np.divmod(place, truth.shape[1])
    at = (rows + reach) * wide.shape[1] + columns + reach
    around, found = wide.ravel(), np.zeros(len(place), np.uint8)
    for ring in range(reach, 0, -1):  # the nearest is written last
        steps = np.arange(-ring, ring + 1)
        for y, x in ((y, x) for y in steps for x in steps if max(abs(y), abs(x)) == ring):
            found[around[at + y * wide.shape[1] + x] == predicted] = ring
    return found


def _objects(
    truth: NDArray[Any], regions: NDArray[np.int32], count: int, wrong: Ints, image: NDArray[Any] | None, valid: Flags
) -> Objects:
    boxes = ndimage.find_objects(regions + 1)
    label = np.zeros(count, np.int64)
    label[regions] = truth
    pixels = np.bincount(regions.ravel(), minlength=count)
    right = pixels - wrong  # an ignored region misses nothing
    contrast = np.full(count, np.nan)
    if image is not None:
        spread = float(np.sqrt(image.reshape(-1, image.shape[-1]).var(axis=0, dtype=np.float64).mean()))
        for r in np.flatnonzero(right < FOUND * pixels).tolist():
            contrast[r] = _contrast(image, regions, r, boxes[r], valid) / max(spread, 1e-12)
    box = np.array([(b[0].start, b[1].start, b[0].stop, b[1].stop) for b in boxes], np.int64).reshape(-1, 4)
    return Objects(label, pixels, right, contrast, box)


def _contrast(image: NDArray[Any], regions: NDArray[np.int32], r: int, box: Any, valid: Flags) -> float:
    """The distance of the mean colour in a region from that around it; NaN where nothing is around it."""
    window = tuple(slice(max(s.start - RING, 0), s.stop + RING) for s in box)
    inside = regions[window] == r
    near = inside
    for axis in (0, 1):
        near = ndimage.maximum_filter1d(near, 2 * RING + 1, axis=axis, mode="constant", cval=0)
    around, colours = near & ~inside & valid[window], image[window]
    if not around.any():
        return float("nan")
    gap = colours[inside].mean(axis=0, dtype=np.float64) - colours[around].mean(axis=0, dtype=np.float64)
    return float(np.sqrt((gap**2).mean()))
