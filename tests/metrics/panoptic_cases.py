"""Panoptic maps at random, with void, crowds, shifted segments, wrong classes; and panopticapi's figures for them.

`RECORDED` was written by panopticapi's `pq_compute` (github.com/cocodataset/panopticapi, 7bb4655) from these maps, saved
in COCO's panoptic form: PNG with R + 256 G + 65536 B, and JSON.
"""

import numpy as np

from perpixel.metrics import Segments

CLASSES, THINGS = 6, (0, 1, 2)
SIZE = (40, 56)


def truth(rng: np.random.Generator) -> Segments:
    """Stuff in stripes with a void corner, and rectangles of things on it, some of them crowds."""
    ids = np.zeros(SIZE, np.int64)
    classes, crowd = {}, set()
    for n, (label, rows) in enumerate(zip((3, 4, 5), np.array_split(np.arange(SIZE[0]), 3), strict=True)):
        ids[rows] = 900 + n
        classes[900 + n] = label
    ids[:8, : rng.integers(0, 50)] = 0
    for n in range(1, 7):
        top, left = rng.integers(0, SIZE[0] - 12), rng.integers(0, SIZE[1] - 14)
        ids[top : top + rng.integers(5, 12), left : left + rng.integers(5, 14)] = n
        classes[n] = int(rng.integers(3))
        if rng.random() < 0.25:
            crowd.add(n)
    return kept(ids, classes, crowd)


def guess(true: Segments, rng: np.random.Generator) -> Segments:
    """The truth with its segments moved, split, or renamed, and void where nothing is."""
    ids = np.zeros(SIZE, np.int64)
    classes = {}
    for n, label in true.classes.items():
        new = n * 3 + 5
        moved = np.roll(true.ids == n, rng.integers(-3, 4, 2), (0, 1))
        ids[moved & (rng.random() < 0.85)] = new
        classes[new] = label if rng.random() < 0.8 else int(rng.integers(CLASSES))
    top, left = rng.integers(0, SIZE[0] - 10), rng.integers(0, SIZE[1] - 10)
    ids[top : top + 10, left : left + 10] = 4000
    classes[4000] = int(rng.integers(CLASSES))
    return kept(ids, classes, set())


def kept(ids: np.ndarray, classes: dict[int, int], crowd: set[int]) -> Segments:
    """Without the segments that others have covered."""
    shown = set(np.unique(ids).tolist())
    return Segments(ids, {n: k for n, k in classes.items() if n in shown}, frozenset(crowd & shown))


def cases(seed: int, images: int = 8) -> list[tuple[Segments, Segments]]:
    """(predicted, truth) of some images."""
    rng = np.random.default_rng(seed)
    trues = [truth(rng) for _ in range(images)]
    return [(guess(t, rng), t) for t in trues]


RECORDED = {
    0: {
        "all": (0.216613720077, 0.558188608384, 0.319862155388),
        "things": (0.101673704737, 0.435955619841, 0.154761904762),
        "stuff": (0.331553735417, 0.680421596927, 0.484962406015),
        "per_class": (
            (0.0, 0, 0.0),
            (0.131673604021, 0.614476818765, 0.214285714286),
            (0.17334751019, 0.693390040758, 0.25),
            (0.363062187354, 0.689818155973, 0.526315789474),
            (0.264745791039, 0.617740179091, 0.428571428571),
            (0.366853227859, 0.733706455717, 0.5),
        ),
    },
    1: {
        "all": (0.249723413874, 0.671663053213, 0.352130202958),
        "things": (0.115511801773, 0.595965979725, 0.191842105263),
        "stuff": (0.383935025975, 0.747360126701, 0.512418300654),
        "per_class": (
            (0.069368131868, 0.554945054945, 0.125),
            (0.133867276888, 0.635869565217, 0.210526315789),
            (0.143299996563, 0.597083319013, 0.24),
            (0.407416147987, 0.763905277475, 0.533333333333),
            (0.329783435976, 0.700789801449, 0.470588235294),
            (0.414605493962, 0.777385301178, 0.533333333333),
        ),
    },
    2: {
        "all": (0.284958926179, 0.665370144839, 0.420145923982),
        "things": (0.07625291806, 0.637306223704, 0.121337599598),
        "stuff": (0.493664934298, 0.693434065973, 0.718954248366),
        "per_class": (
            (0.070257611241, 0.737704918033, 0.095238095238),
            (0.108091565119, 0.594503608153, 0.181818181818),
            (0.05040957782, 0.579710144928, 0.086956521739),
            (0.46879770144, 0.70319655216, 0.666666666667),
            (0.49416502247, 0.600057527285, 0.823529411765),
            (0.518032078984, 0.777048118476, 0.666666666667),
        ),
    },
}
"""By seed: (PQ, SQ, RQ) as means, and of each class."""
