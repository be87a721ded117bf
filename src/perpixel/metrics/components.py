"""Connected regions of a label map, all classes at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def components(labels: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    """The region of each pixel: pixels of one label that hang together by edges (4 neighbours).

    The nodes of the graph are the runs of equal labels in the rows, and two runs of one label in neighbouring rows
    that overlap are joined: a map of 1000 x 1000 pixels has some 10,000 runs.

    Args:
        labels: (H, W) of any integers.

    Returns:
        (H, W) int32 numbers of the regions, from 0, in no stated order; and how many there are.

    >>> regions, count = components(np.array([[1, 1, 2], [2, 1, 2]]))
    >>> count, bool(regions[0, 0] == regions[1, 1]), bool(regions[1, 0] == regions[0, 2])
    (3, True, False)
    """
    if not labels.size:
        return np.zeros(labels.shape, np.int32), 0
    starts = np.ones(labels.shape, bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=starts[:, 1:])
    runs = (np.cumsum(starts.ravel(), dtype=np.int32) - 1).reshape(labels.shape)
    # where two runs overlap, one of them starts: each pair is joined once
    joined = (labels[1:] == labels[:-1]) & (starts[1:] | starts[:-1])
    above, below = runs[:-1][joined], runs[1:][joined]
    size = int(runs[-1, -1]) + 1
    graph = coo_matrix((np.ones(len(above), bool), (above, below)), shape=(size, size))
    count, of_run = connected_components(graph, directed=False)
    return of_run[runs], int(count)
