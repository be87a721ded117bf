"""The label ceiling: what IoU a perfect prediction would have if the borders were drawn a little differently."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.metrics.confusion import Floats, Ints, divide, mean_of_known

_CLASSES = 32  # bits of a word


class LabelCeiling:
    """IoU of the truth with itself when the borders of a class lie d pixels further out, or further in.

        IoU_k(+d) = n_k / (n_k + out_k)      out_k: pixels of other classes within Chebyshev distance d of class k
        IoU_k(-d) = (n_k - in_k) / n_k       in_k: pixels of class k within d of another class

    The ceiling at d is the mean of both. Where people who label, or two of them, differ by d pixels, no model can be
    told from a perfect one above it. Ignored pixels are of no class and make no border, and so does the image's edge.
    Pixels are summed over all images first, as those of the mean IoU are.

    Args:
        num_classes: K.
        widths: the distances d in pixels, rising.
        ignore_index: the label that is not a class.

    >>> ceiling = LabelCeiling(2, widths=(1,))
    >>> ceiling.update(np.array([[0, 0, 0, 1, 1, 1]]))
    >>> ceiling.grown[0].tolist(), ceiling.shrunk[0].round(3).tolist()
    ([0.75, 0.75], [0.667, 0.667])
    """

    def __init__(self, num_classes: int, widths: Sequence[int] = (1, 2, 3), ignore_index: int = IGNORE) -> None:
        if not widths or min(widths) < 1 or list(widths) != sorted(set(widths)):
            raise UserError(f"Expected rising distances of at least 1 pixel, got {tuple(widths)}.")
        self.num_classes, self.widths, self.ignore_index = num_classes, tuple(widths), ignore_index
        self.pixels: Ints = np.zeros(num_classes, np.int64)
        self.outside: Ints = np.zeros((len(widths), num_classes), np.int64)
        self.inside: Ints = np.zeros((len(widths), num_classes), np.int64)

    def update(self, target: NDArray[Any]) -> None:
        """Adds an image's (H, W) labels."""
        valid = target != self.ignore_index
        labels = np.where(valid, target, 0).astype(np.int64)
        self.pixels += np.bincount(labels[valid], minlength=self.num_classes)
        foreign = np.zeros((len(self.widths), *target.shape), bool)
        for first in range(0, self.num_classes, _CLASSES):
            classes = range(first, min(first + _CLASSES, self.num_classes))
            mine = valid & (labels >= first) & (labels < first + _CLASSES)
            own = np.where(mine, np.left_shift(1, np.where(mine, labels - first, 0)), 0).astype(np.uint32)
            for i, near in enumerate(_spread(own, self.widths)):
                other = np.where(valid, near & ~own, 0)
                foreign[i] |= other > 0
                self.outside[i, classes] += _count_bits(other, len(classes))
        for i, near_others in enumerate(foreign):
            self.inside[i] += np.bincount(labels[near_others], minlength=self.num_classes)

    @property
    def grown(self) -> Floats:
        """(D, K) IoU with the borders d further out; NaN for a class that does not occur."""
        return divide(np.broadcast_to(self.pixels, self.outside.shape), self.pixels + self.outside)

    @property
    def shrunk(self) -> Floats:
        """(D, K) IoU with the borders d further in."""
        return divide(self.pixels - self.inside, np.broadcast_to(self.pixels, self.inside.shape))

    @property
    def iou(self) -> Floats:
        """(D, K) the ceiling of each class: the mean of both."""
        return (self.grown + self.shrunk) / 2

    @property
    def mean_iou(self) -> list[float]:
        """(D,) the mean of `iou` over the classes that occur."""
        return [mean_of_known(row) for row in self.iou]


def _spread(bits: NDArray[np.uint32], widths: Sequence[int]) -> Iterator[NDArray[np.uint32]]:
    """The bits that are within each Chebyshev distance of a pixel, one step at a time."""
    done = 0
    for width in widths:
        for _ in range(width - done):
            bits = _step(_step(bits).T).T
        done = width
        yield bits


def _step(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    found = bits.copy()
    found[1:] |= bits[:-1]
    found[:-1] |= bits[1:]
    return found


def _count_bits(words: NDArray[np.uint32], bits: int) -> Ints:
    some = words[words > 0]
    return np.array([np.count_nonzero(some & np.uint32(1 << b)) for b in range(bits)], np.int64)
