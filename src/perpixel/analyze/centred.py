"""Maps of images of any size, laid over each other so that what they are about lies in the middle."""

import numpy as np

from perpixel.core.image import Array


class CentredMean:
    """The mean of maps about a centre of each; a place counts by the maps that reach there, and is 0 where none does.

    >>> mean = CentredMean()
    >>> mean.add(np.array([[1.0, 2.0, 3.0]]), (0, 2))
    >>> mean.add(np.array([[5.0, 7.0]]), (0, 0))
    >>> mean.values.tolist()
    [[1.0, 2.0, 4.0, 7.0, 0.0]]
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = np.zeros((1, 1))
        self._maps = np.zeros((1, 1))

    def add(self, values: Array, centre: tuple[int, int]) -> None:
        """Takes in a map (h, w) with its centre (row, column), which may lie outside."""
        reach = tuple(max(c, n - 1 - c) for c, n in zip(centre, values.shape, strict=True))
        now = (self._sum.shape[0] // 2, self._sum.shape[1] // 2)
        grown = (max(now[0], reach[0]), max(now[1], reach[1]))
        if grown != now:
            border = [(g - n, g - n) for g, n in zip(grown, now, strict=True)]
            self._sum, self._maps = np.pad(self._sum, border), np.pad(self._maps, border)
        top, left = grown[0] - centre[0], grown[1] - centre[1]
        place = np.s_[top : top + values.shape[0], left : left + values.shape[1]]
        self._sum[place] += values
        self._maps[place] += 1
        self.count += 1

    @property
    def values(self) -> Array:
        """(2 a + 1, 2 b + 1), the common centre in the middle."""
        return np.divide(self._sum, self._maps, out=np.zeros_like(self._sum), where=self._maps > 0)
