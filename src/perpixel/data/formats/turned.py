"""Boxes that are turned, as corners of a polygon."""

import math


def turned_box(box: tuple[float, float, float, float], degrees: float, about: tuple[float, float]) -> list[float]:
    """The corners x, y, x, y, ... of a box (left, top, right, low) that is turned clockwise about a point.

    >>> turned_box((0, 0, 4, 2), 0, (2, 1))
    [0.0, 0.0, 4.0, 0.0, 4.0, 2.0, 0.0, 2.0]
    """
    left, top, right, low = map(float, box)
    corners = ((left, top), (right, top), (right, low), (left, low))
    if degrees == 0:
        return [v for corner in corners for v in corner]
    x, y = about
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [v for a, b in corners for v in (x + (a - x) * c - (b - y) * s, y + (a - x) * s + (b - y) * c)]
