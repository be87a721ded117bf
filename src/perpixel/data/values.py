"""Which values a mask holds, how often, and what they say about the classes by themselves."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array, RawMask
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Colour, Value, plain_value, tell_apart

KEPT_VALUES = 1024
"""A mask with more values than this (a photo, a soft mask) has only its most frequent ones listed."""


@dataclass(frozen=True)
class Tally:
    """What one mask holds.

    Args:
        pixels: how many pixels hold each value; values are integers, or colours (r, g, b).
        core: how many of them have the same value to the right of them and below. A region that somebody drew
            has such a core; the values that smoothing leaves along borders have almost none.
        distinct: how many values there are, also where `pixels` lists only the most frequent.
    """

    pixels: Counter[Value] = field(default_factory=Counter)
    core: Counter[Value] = field(default_factory=Counter)
    distinct: int = 0


def tally(mask: RawMask) -> Tally:
    """Counts a mask (H, W) of integers or (H, W, 3) of uint8 colours.

    >>> tally(RawMask(np.array([[0, 0, 9], [0, 0, 9]], np.uint8))).pixels
    Counter({0: 4, 9: 2})
    """
    found, index = _indexed(mask.values)
    pixels = np.bincount(index.ravel(), minlength=len(found))
    corner = index[:-1, :-1]
    core = np.bincount(corner[(corner == index[:-1, 1:]) & (corner == index[1:, :-1])], minlength=len(found))
    kept = np.argsort(-pixels, kind="stable")[:KEPT_VALUES]
    values = [_value(int(found[i]), mask.values.ndim == 3) for i in kept]
    return Tally(
        Counter({v: int(pixels[i]) for v, i in zip(values, kept, strict=True)}),
        Counter({v: int(core[i]) for v, i in zip(values, kept, strict=True)}),
        len(found),
    )


def taxonomy_of_values(values: Iterable[Value], palette: Array | None, where: str) -> Taxonomy:
    """The taxonomy that masks speak for themselves when nobody wrote one down.

    It is taken as told only where there is one reading: values 0 and 255 alone (background, foreground), or
    values 0 to K-1 without a gap, with 255 as ignore. A palette in the files gives the colours.

    Raises:
        UserError: any other values; the message says how to name them.
    """
    found = set(values)
    if found == {0, 255}:
        return Taxonomy.of(["background", "foreground"], [(0, 0, 0), (255, 64, 64)], [(0,), (255,)], ignore=())
    plain = {v for v in found if isinstance(v, int)} - {IGNORE}
    k = len(plain)
    if plain != set(range(k)) or len(plain) < len(found - {IGNORE}) or k < 2:
        some = [v if isinstance(v, tuple) else plain_value(v) for v in sorted(found, key=str)]
        shown = ", ".join(map(str, some[:6])) + (", ..." if len(some) > 6 else "")
        raise UserError(
            f"{where}: the masks hold the values {shown}, which do not say what the classes are; "
            "write a dataset.yaml that names them (perpixel check DATA --write makes a starter)"
        )
    colours: list[Colour] | None = None
    if palette is not None and len(palette) >= k and len({tuple(c) for c in palette[:k].tolist()}) == k:
        seen = [(int(r), int(g), int(b)) for r, g, b in palette[:k]]
        colours = seen if tell_apart(seen) else None
    return Taxonomy.of([f"class {i}" for i in range(k)], colours)


def _indexed(values: Array) -> tuple[Array, Array]:
    """The distinct values (n,) of a mask, colours as 24 bits, and for every pixel which of them it holds (H, W)."""
    packed = values if values.ndim == 2 else values.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    flat = packed.reshape(-1)
    first = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))  # masks are runs: sort those, not pixels
    found, which = np.unique(flat[first], return_inverse=True)
    return found, np.repeat(which, np.diff(np.append(first, flat.size))).reshape(values.shape[:2])


def _value(key: int, is_colour: bool) -> Value:
    return (key >> 16, key >> 8 & 255, key & 255) if is_colour else key
