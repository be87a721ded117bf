"""Objects and stuff become one map by the paper's rule: cases by hand, and a plain loop over pixels at random."""

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.detection.panoptic import join

LABELS = np.array([[5, 5, 5, 6, 6, 6, 2, 2]])


def strip(*pixels: int) -> np.ndarray:
    return np.isin(np.arange(8), pixels)[None]


@pytest.mark.parametrize(
    ("objects", "ids", "classes"),
    [
        ([], [1, 1, 1, 2, 2, 2, 0, 0], {1: 5, 2: 6}),  # label 2 is no stuff
        ([(strip(0, 1), 0.6, 0), (strip(1, 2), 0.9, 1)], [2, 1, 1, 3, 3, 3, 0, 0], {1: 1, 2: 0, 3: 6}),  # half covered
        (
            [(strip(0, 1, 2), 0.9, 0), (strip(1, 2, 3), 0.8, 1)],
            [1, 1, 1, 2, 2, 2, 0, 0],
            {1: 0, 2: 6},
        ),  # two thirds are
        ([(strip(0), 0.49, 0)], [1, 1, 1, 2, 2, 2, 0, 0], {1: 5, 2: 6}),  # too unsure
        ([(strip(3, 4), 0.9, 0)], [2, 2, 2, 1, 1, 0, 0, 0], {1: 0, 2: 5}),  # one pixel of class 6 is left: too few
        ([(strip(), 0.9, 0)], [1, 1, 1, 2, 2, 2, 0, 0], {1: 5, 2: 6}),  # a mask of nothing
    ],
)
def test_by_hand(objects: list, ids: list[int], classes: dict[int, int]) -> None:
    masks = np.array([mask for mask, _, _ in objects]).reshape(-1, 1, 8).astype(bool)
    joined = join(masks, [s for _, s, _ in objects], [k for _, _, k in objects], LABELS, stuff=[5, 6], least_stuff=2)
    assert joined.ids.tolist() == [ids] and dict(joined.classes) == classes


def test_a_plain_loop_over_pixels_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    dropped = 0
    for _ in range(20):
        masks = rng.random((6, 5, 7)) < rng.uniform(0.1, 0.5)
        scores, labels = rng.random(6), rng.integers(2, 5, (5, 7))
        owner: dict[tuple[int, int], tuple[str, int]] = {}
        for n in sorted(range(6), key=lambda i: -scores[i]):
            pixels = list(zip(*np.nonzero(masks[n]), strict=True))
            taken = sum(p in owner for p in pixels)
            if scores[n] >= 0.3 and pixels and taken <= 0.5 * len(pixels) and taken < len(pixels):
                owner |= {p: ("object", n) for p in pixels if p not in owner}
            else:
                dropped += 1
        for label in (3, 4):
            left = [p for p in zip(*np.nonzero(labels == label), strict=True) if p not in owner]
            owner |= dict.fromkeys(left, ("stuff", label)) if len(left) >= 4 else {}
        joined = join(masks, scores, range(6), labels, stuff=[3, 4], least_score=0.3, least_stuff=4)
        names = {0: None} | dict(joined.classes)
        for place in np.ndindex(5, 7):
            kind, number = owner.get(place, (None, None))
            assert names[int(joined.ids[place])] == number, (place, kind)
    assert dropped > 10


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="expected masks"):
        join(np.zeros((1, 2, 2), bool), [0.9], [0], LABELS, stuff=[5])
