"""Lengths of dimensions as products: how the factors of one shape become those of another without being written out."""

import itertools
import math
from collections.abc import Sequence

Groups = tuple[tuple[int, ...], ...]
"""For each dimension of a tensor the factors of its length, the slowest first; none stands for a length of 1."""
Parts = list[tuple[int, ...]]
"""For each factor the factors into which it falls."""


def regroup(factors: Sequence[int], shape: Sequence[int]) -> tuple[Parts, Groups] | None:
    """The factors of a tensor's elements, in order, shared out among dimensions of other lengths; None where they cannot.

    >>> regroup([64, 32, 32], [64, 1024])  # a map's rows and columns become one dimension
    ([(64,), (32,), (32,)], ((64,), (32, 32)))
    >>> regroup([64, 32], [4, 16, 32])
    ([(4, 16), (32,)], ((4,), (16,), (32,)))
    >>> regroup([6, 4], [4, 6]) is None
    True
    """
    parts: list[list[int]] = [[] for _ in factors]
    groups: list[tuple[int, ...]] = []
    at, rest = -1, 1
    for length in shape:
        group: list[int] = []
        while length > 1:
            while rest == 1:
                at, rest = at + 1, factors[at + 1]
            if length % rest and rest % length:
                return None
            piece = min(length, rest)
            length, rest = length // piece, rest // piece
            parts[at].append(piece)
            group.append(piece)
        groups.append(tuple(group))
    return [tuple(part) for part in parts], tuple(groups)


def common(groups: Sequence[tuple[int, ...]], length: int) -> tuple[int, ...]:
    """The coarsest factors of `length` into which those of all groups fall; `length` alone where there are none.

    >>> common([(64,), (4, 16), (16, 4)], 64), common([(4, 6), (6, 4)], 24), common([], 5), common([()], 1)
    ((4, 4, 4), (24,), (5,), ())
    """
    if length <= 1:
        return ()
    steps = {math.prod(group[i:]) for group in groups for i in range(len(group) + 1)} | {1, length}
    ordered = sorted(steps, reverse=True)
    if any(larger % smaller for larger, smaller in itertools.pairwise(ordered)):
        return (length,)
    return tuple(larger // smaller for larger, smaller in itertools.pairwise(ordered))
