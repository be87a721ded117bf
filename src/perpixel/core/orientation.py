"""EXIF orientations: where a file says its own, and how a picture is turned upright."""

import re
import struct
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_TAG = 0x0112
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])")


def from_exif(data: bytes) -> int:
    """The orientation, 1 to 8, in a block of EXIF; 0 where it does not say. `data` may begin with "Exif"."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return 0
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    if first + 2 > len(data):
        return 0
    (entries,) = struct.unpack_from(f"{order}H", data, first)
    for at in range(first + 2, min(first + 2 + 12 * entries, len(data) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag == _TAG and kind in (3, 4):
            (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)
            return int(value) if 1 <= value <= 8 else 0
    return 0


def from_xmp(data: bytes) -> int:
    """The orientation, 1 to 8, in a packet of XMP; 0 where it does not say."""
    found = _XMP.search(data)
    return int(found[1]) if found else 0


def upright(array: Array, orientation: int) -> Array:
    """Applies an EXIF or TIFF orientation, 1 to 8, to an array (H, W, ...)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
