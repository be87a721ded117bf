"""Which classes are seen together, and which hardly ever are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpixel.core import IGNORE
from perpixel.metrics.confusion import Ints

HARDLY = 0.1
"""Together in fewer than this share of the images in which chance would have them together is hardly ever."""
EXPECTED = 5.0
"""Where chance would have two classes together in fewer images than this, nothing is known of them."""

Flags = NDArray[np.bool_]


class CoOccurrence:
    """In how many images of a set two classes are seen together.

    Args:
        num_classes: K.
        ignore_index: the label that is not a class.

    >>> seen = CoOccurrence(3)
    >>> for _ in range(20):
    ...     seen.update(np.array([[0, 1]]))
    ...     seen.update(np.array([[2, 2]]))
    >>> seen.strange(np.array([True, True, False]))
    array([False, False,  True])
    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE) -> None:
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.images = 0
        self.together: Ints = np.zeros((num_classes, num_classes), np.int64)

    def update(self, labels: NDArray[Any]) -> None:
        """Adds an image's (H, W) labels."""
        present = scene(labels, self.num_classes, self.ignore_index)
        self.together += np.outer(present, present)
        self.images += 1

    def strange(self, present: Flags) -> Flags:
        """(K,) which classes hardly ever occur in such a scene.

        A class p is strange to a scene when it is not in it, and there is a class t in it such that, of the images
        counted, fewer than `HARDLY` x N_t x N_p / N hold both, where N_t x N_p / N, what chance would give, is at
        least `EXPECTED`.

        Args:
            present: (K,) which classes the scene has.
        """
        alone = np.diag(self.together).astype(float)
        chance = np.outer(alone, alone) / max(self.images, 1)
        apart = (chance >= EXPECTED) & (self.together < HARDLY * chance)
        return apart[present].any(axis=0) & ~present


def scene(labels: NDArray[Any], num_classes: int, ignore_index: int = IGNORE) -> Flags:
    """(K,) which classes a label map has; `ignore_index` is none of them."""
    known = labels[labels != ignore_index].astype(np.int64)
    return np.bincount(known, minlength=num_classes)[:num_classes] > 0
