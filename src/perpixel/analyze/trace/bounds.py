"""First and last pixels along one axis of the image, for many units at once, and what can be done with them."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Bounds = NDArray[np.int32]
"""(2, one axis for each factor, of its length or 1): the first pixel, and minus the last; both `NOTHING` for no pixel.

With the last one negated, the smallest box around several is the minimum of both numbers."""
Taps = NDArray[np.int64]
"""(outputs, taps): which inputs along one dimension each output reads; -1 for none."""
NOTHING = np.int32(2**30)
LARGEST = 2**25
"""Numbers in one array beyond which there is no going on."""
MOST_MASKED = 2**18
"""Numbers up to which bounds of empty boxes are kept apart (`masked`); more takes long."""


class TooLargeError(Exception):
    """Boxes that hang on too much at once to be kept."""


def smallest(bounds: Sequence[Bounds], others: Sequence[Bounds]) -> Bounds:
    """Element by element, broadcast; bounds whose `others` are nothing count only if these are contained anyway."""
    if len(bounds) == 1:
        return bounds[0]
    check(np.broadcast_shapes(*(b.shape for b in bounds)))
    full = [(other[:1] != NOTHING).all() for other in others]
    sure = lowest([b for b, f in zip(bounds, full, strict=True) if f])
    unsure = [(b, other) for b, other, f in zip(bounds, others, full, strict=True) if not f]
    return lowest([sure, *(masked(b, other) for b, other in unsure if (np.minimum(sure, b) != sure).any())])


def lowest(bounds: Sequence[Bounds]) -> Bounds:
    start: Bounds = np.full(1, NOTHING)
    return functools.reduce(lambda a, b: np.minimum(a, b), bounds, start)


def chained(parts: Sequence[Bounds | None], lengths: Sequence[int], axis: int) -> Bounds:
    """One after another along the axis, each of its length there; one box for all where they do not differ."""
    known = [part for part in parts if part is not None]
    first = known[0]
    if len(known) == len(parts) and all(p.shape[axis] == 1 and np.array_equal(p, first) for p in known):
        return first
    shape = list(np.broadcast_shapes(*(part.take([0], axis).shape for part in known)))
    filled = [np.full([1] * first.ndim, NOTHING) if part is None else part for part in parts]
    return np.concatenate(
        [
            spread(part, (*shape[:axis], length, *shape[axis + 1 :]))
            for part, length in zip(filled, lengths, strict=True)
        ],
        axis,
    )


def masked(bounds: Bounds, other: Bounds) -> Bounds:
    """The bounds, with nothing where the other ones of the same boxes have nothing.

    Where that cannot be kept they stay as they are: on a large image, boxes at borders of zeros may then be too large.
    """
    empty = other[:1] == NOTHING
    if not empty.any() or math.prod(np.broadcast_shapes(bounds.shape, other.shape)) > MOST_MASKED:
        return bounds
    return np.where(empty, NOTHING, bounds)


def slimmed(bounds: Bounds) -> Bounds:
    for axis in range(1, bounds.ndim):
        first = bounds.take([0], axis)
        bounds = first if bounds.shape[axis] > 1 and (bounds == first).all() else bounds
    return bounds


def one(bounds: Bounds) -> bool:
    """Whether all bounds are the same."""
    low, high = bounds.reshape(2, -1)
    return bool((low == low[0]).all() and (high == high[0]).all())


def spread(bounds: Bounds, shape: Sequence[int]) -> Bounds:
    """`np.broadcast_to`, within reason."""
    check(shape)
    return np.broadcast_to(bounds, tuple(shape))


def check(shape: Sequence[int]) -> None:
    if math.prod(shape) > LARGEST:
        raise TooLargeError
