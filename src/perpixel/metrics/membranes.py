"""How well a segmentation separates things: Rand error and warping error, the measures of the ISBI 2012 challenge.

IoU hardly notices a gap of one pixel in a membrane, which joins two cells. These two do:

- the Rand error counts pairs of pixels that are rightly or wrongly in one cell;
- the warping error forgives borders that are shifted or thicker, and counts what that does not explain: splits, joins,
  holes, islands. (A membrane is forgiven as far as it touches the true one: every flip must come nearer to the prediction.)

Cells are the 4-connected components of what is called cell; membranes are joined also over corners.

Sources: Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers
in Neuroanatomy 2015; Jain et al., "Boundary Learning by Optimization with Topological Constraints", CVPR 2010.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from perpixel.core.errors import UserError
from perpixel.core.image import Array

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
CROSS, SQUARE = ndimage.generate_binary_structure(2, 1), ndimage.generate_binary_structure(2, 2)


@dataclass(frozen=True)
class MembraneScores:
    """Means over the slices, each at the threshold that is best for it, as the challenge takes them; 0 is perfect."""

    rand_error: float
    rand_threshold: float
    warping_error: float
    warping_threshold: float
    pixel_error: float
    pixel_threshold: float


def rand_error(prediction: Array, truth: Array) -> float:
    """1 - F of pairs of pixels, in [0, 1]: the "adapted Rand error".

    Both are (H, W) booleans, True where a cell is; the cells are their 4-connected components. Pairs are those of pixels
    that are cell in truth; of these, each that the prediction calls membrane is a cell of its own. With no cell in the
    truth there is nothing to compare and the result is NaN.

    >>> truth = np.array([[1, 1, 0, 1, 1]], bool)
    >>> rand_error(truth, truth), round(rand_error(np.ones((1, 5), bool), truth), 6)
    (0.0, 0.333333)
    """
    _check(prediction, truth)
    cells, parts = ndimage.label(truth)[0], ndimage.label(prediction)[0]
    inside = cells > 0
    if not inside.any():
        return float("nan")
    pairs, counts = np.unique(np.stack([cells[inside], parts[inside]]), axis=1, return_counts=True)
    squares = counts.astype(np.float64) ** 2
    squares[pairs[1] == 0] = counts[pairs[1] == 0]  # clusters of one pixel each
    both = squares.sum()
    in_truth = (np.bincount(pairs[0], counts) ** 2).sum()
    own = np.bincount(pairs[1], counts)
    in_prediction = (own[1:] ** 2).sum() + own[0]
    precision, recall = both / in_prediction, both / in_truth
    return float(1 - 2 * precision * recall / (precision + recall))


def warping_error(prediction: Array, truth: Array) -> float:
    """The share of pixels at which the prediction differs from the truth after the truth is warped towards it, in [0, 1].

    Both are (H, W) booleans, True where a cell is. Warping flips, one after the other, pixels that differ and whose flip
    changes no topology ("simple" points: cells joined over sides, membranes also over corners), until there is none.
    What lies beyond the image counts as membrane. Among equal ways the order of flips is that of the pixels in the image,
    ring by ring from where differences touch; another order can give a slightly other number.

    >>> truth = np.zeros((5, 9), bool); truth[1:4, 1:8] = True
    >>> thick = np.zeros((5, 9), bool); thick[1:4, 1:6] = True
    >>> cut = truth.copy(); cut[:, 4] = False
    >>> warping_error(thick, truth), warping_error(cut, truth) > 0
    (0.0, True)
    """
    _check(prediction, truth)
    return float((warp(truth, prediction) != prediction).mean())


def warp(truth: Array, prediction: Array) -> Array:
    """The truth, changed towards the prediction at simple points alone: (H, W) booleans."""
    now = np.pad(truth, 1).astype(np.uint8)
    wanted = np.pad(prediction, 1).astype(np.uint8)
    differs = now != wanted
    waiting = deque(map(tuple, np.argwhere(differs)))
    queued = differs.copy()
    while waiting:
        row, column = waiting.popleft()
        queued[row, column] = False
        if now[row, column] == wanted[row, column] or not SIMPLE[_code(now, row, column)]:
            continue
        now[row, column] = wanted[row, column]
        for down, right in NEIGHBOURS:  # a flip can make its neighbours simple
            r, c = row + down, column + right
            if differs[r, c] and now[r, c] != wanted[r, c] and not queued[r, c]:
                queued[r, c] = True
                waiting.append((r, c))
    return now[1:-1, 1:-1].astype(bool)


def membrane_scores(
    probabilities: Iterable[Array], truths: Sequence[Array], thresholds: Sequence[float] = tuple(np.arange(0.1, 1, 0.1))
) -> MembraneScores:
    """The three errors of the challenge over slices, each at its best threshold on the probability of cell.

    `probabilities` are (H, W) in [0, 1], `truths` (H, W) booleans, one of each a slice.

    Raises:
        UserError: no slice, or shapes that differ.
    """
    rows = []
    for probability, truth in zip(probabilities, truths, strict=True):
        binary = [probability >= t for t in thresholds]
        rows.append(
            [[rand_error(b, truth), warping_error(b, truth), float((b != truth).mean())] for b in binary],
        )
    if not rows:
        raise UserError("membrane scores need one slice or more, got none")
    means = np.nanmean(np.array(rows), axis=0)  # thresholds, errors
    best = means.argmin(axis=0)
    flat = [float(x) for error, row in enumerate(best) for x in (means[row, error], thresholds[row])]
    return MembraneScores(*flat)


def _code(binary: Array, row: int, column: int) -> int:
    code = 0
    for bit, (down, right) in enumerate(NEIGHBOURS):
        code |= int(binary[row + down, column + right]) << bit
    return code


def is_simple(neighbours: Array) -> bool:
    """Whether flipping the middle of a 3x3 neighbourhood keeps the topology; the middle's own value does not matter.

    That is so where the cell pixels around that touch the middle by a side hang together (over sides, without the middle),
    and the membrane pixels around hang together (over corners too), and there is one of each.

    >>> is_simple(np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]])), is_simple(np.array([[0, 1, 0], [0, 0, 0], [0, 1, 0]]))
    (True, False)
    """
    cells = np.array(neighbours, bool)
    cells[1, 1] = False
    membranes = ~cells
    membranes[1, 1] = False
    labelled = ndimage.label(cells, CROSS)[0]
    touching = {int(labelled[r, c]) for r, c in ((0, 1), (1, 0), (1, 2), (2, 1)) if labelled[r, c]}
    return len(touching) == 1 and int(ndimage.label(membranes, SQUARE)[1]) == 1


def _table() -> tuple[bool, ...]:
    answers = []
    for code in range(256):
        neighbours = np.zeros((3, 3), bool)
        for bit, (down, right) in enumerate(NEIGHBOURS):
            neighbours[1 + down, 1 + right] = code >> bit & 1
        answers.append(is_simple(neighbours))
    return tuple(answers)


SIMPLE = _table()
"""For each pattern of eight neighbours, bit i of the index being `NEIGHBOURS[i]`: may the middle be flipped?"""


def _check(prediction: Array, truth: Array) -> None:
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise UserError(f"expected two (H, W) maps of one size, got {prediction.shape} and {truth.shape}")
