"""What kinds of errors a set has: the wrong pixels of all images, by kind, object size, true and predicted class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.metrics.confusion import Floats, Ints, divide
from perpixel.metrics.regions import BORDER, BOUNDARY, INCONSPICUOUS, LEFT, MISMATCHED, ImageErrors

KINDS = ("mismatched", "confused", "inconspicuous", "boundary", "rest")
SIDES = (8, 16, 32, 64, 128)
"""Objects are told apart by the side of the square that has as many pixels: up to 8, 16 ... pixels, and above."""
ALIKE = 0.01
"""Two classes are look-alikes when at least this share of one's pixels is left as given to the other."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """Two look-alikes: `pixels` of `truth` that were given to `predicted`, and their share of the class's pixels."""

    truth: int
    predicted: int
    pixels: int
    share: float


class ErrorCounts:
    """The kinds of all wrong pixels of a set, from `image_errors` of each image.

    Args:
        num_classes: K.
        ignore_index: as in `image_errors`; counted in column K of the pairs.

    Attributes:
        valid: pixels with a class. pixels: (K,) true pixels of each.
        pairs: (4, 6, K, K + 1) wrong pixels by kind (as one image tells it), size of the object, truth and prediction.
        distances: (border + 1,) boundary errors by their distance.
        objects, missed: (6, K) objects of each size and class, and how many of them were missed.
        object_pixels: (6, K) their pixels.
    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE, border: int = BORDER) -> None:
        K, sizes = num_classes, len(SIDES) + 1
        self.num_classes, self.ignore_index = K, ignore_index
        self.valid = 0
        self.pairs: Ints = np.zeros((4, sizes, K, K + 1), np.int64)
        self.distances: Ints = np.zeros(border + 1, np.int64)
        self.objects: Ints = np.zeros((sizes, K), np.int64)
        self.missed: Ints = np.zeros((sizes, K), np.int64)
        self.object_pixels: Ints = np.zeros((sizes, K), np.int64)

    def add(self, errors: ImageErrors) -> None:
        """Adds an image."""
        K, o = self.num_classes, errors.objects
        size = size_of(o.pixels)
        real = o.label != self.ignore_index
        for table, weights in ((self.objects, None), (self.missed, o.missed), (self.object_pixels, o.pixels)):
            codes = size[real] * K + o.label[real]
            counts = np.bincount(codes, None if weights is None else weights[real], minlength=table.size)
            table += counts.astype(np.int64).reshape(table.shape)
        predicted = np.where(errors.predicted == self.ignore_index, K, errors.predicted).astype(np.int64)
        index = errors.kind.astype(np.int64), size[errors.owner], errors.truth.astype(np.int64), predicted
        codes = np.ravel_multi_index(index, self.pairs.shape)
        self.pairs += np.bincount(codes, minlength=self.pairs.size).reshape(self.pairs.shape)
        self.distances += np.bincount(errors.distance, minlength=len(self.distances))
        self.distances[0] = 0
        self.valid += errors.valid

    @property
    def pixels(self) -> Ints:
        """(K,) true pixels of each class."""
        return self.object_pixels.sum(axis=0)

    @property
    def left(self) -> Ints:
        """(K, K + 1) wrong pixels that are confused or rest."""
        return self.pairs[LEFT].sum(axis=0)

    def by_kind(self, alike: Flags | None = None) -> dict[str, Ints]:
        """Kind -> (6, K) wrong pixels by size and true class; together all wrong pixels, each once.

        Args:
            alike: (K, K + 1) the look-alikes; None takes those of these counts.
        """
        alike = self.alike if alike is None else alike
        left = self.pairs[LEFT]
        return {
            "mismatched": self.pairs[MISMATCHED].sum(axis=-1),
            "confused": (left * alike).sum(axis=-1),
            "inconspicuous": self.pairs[INCONSPICUOUS].sum(axis=-1),
            "boundary": self.pairs[BOUNDARY].sum(axis=-1),
            "rest": (left * ~alike).sum(axis=-1),
        }

    @property
    def alike(self) -> Flags:
        """(K, K + 1) whether two classes are look-alikes; the last column, ignored, is none."""
        return look_alikes(self.left, self.pixels)

    def ranked(self) -> list[Pair]:
        """The pairs of look-alikes that have confused pixels, those with most first."""
        left, pixels = self.left, self.pixels
        found = [
            Pair(t, p, int(left[t, p]), float(divide(left[t, p], pixels[t])))
            for t, p in np.argwhere(self.alike & (left > 0)).tolist()
        ]
        return sorted(found, key=lambda pair: -pair.pixels)


def look_alikes(left: Ints, pixels: Ints) -> Flags:
    """(K, K + 1) pairs of which, in one direction or the other, at least `ALIKE` of the class is left as the other.

    Args:
        left: (K, K + 1) wrong pixels that are neither mismatched, inconspicuous nor boundary.
        pixels: (K,) true pixels of each class.
    """
    share: Floats = np.nan_to_num(divide(left[:, :-1], np.broadcast_to(pixels[:, None], left[:, :-1].shape)))
    alike = (share >= ALIKE) | (share.T >= ALIKE)
    return np.concatenate([alike, np.zeros((len(pixels), 1), bool)], axis=1)


def size_of(pixels: Any) -> Ints:
    """The place among `SIDES` of objects of so many pixels.

    >>> size_of(np.array([64, 65, 10**6])).tolist()
    [0, 1, 5]
    """
    return np.searchsorted(np.array(SIDES) ** 2, pixels).astype(np.int64)
