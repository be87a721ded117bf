"""Pixels that stand inside an annotation file: pictures as base64 text, runs in the forms of COCO."""

import base64
import binascii
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import Array, read_mask
from perpixel.data.formats.fields import need, size_of, whole
from perpixel.data.formats.shapes import Runs


def png_mask(text: str, where: str) -> Array:
    """The (H, W) bool mask in a PNG that is written as base64 text: what is not 0.

    Raises:
        UserError: no base64, no PNG that can be read.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{where}: the mask is no base64 text ({error})") from error
    return png_bytes(data, where)


def png_bytes(data: bytes, where: str) -> Array:
    """The (H, W) bool mask in the bytes of a PNG, by the reader of image files and its bounds."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mask.png"
        file.write_bytes(data)
        try:
            values = read_mask(file).values
        except UserError as error:
            raise UserError(f"{where}: {str(error).removeprefix(f'{file}: ')}") from error
    inside: Array = values > 0 if values.ndim == 2 else np.any(values > 0, axis=2)
    return inside


def runs_of(mask: Array, top: int = 0, left: int = 0) -> Runs:
    """A boolean mask (H, W) as runs along its rows."""
    flat = np.concatenate(([False], mask.reshape(-1)))
    borders = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate(([0], borders, [mask.size])))
    return Runs(counts.astype(np.uint32).tobytes(), (mask.shape[0], mask.shape[1]), top, left)


def checked_runs(counts: Any, size: Size, where: str, top: int = 0, left: int = 0, by_column: bool = False) -> Runs:
    """Runs whose lengths fill a window exactly.

    Raises:
        UserError: they do not.
    """
    whole(counts, where)
    if sum(counts) != size[0] * size[1]:
        total = size[0] * size[1]
        raise UserError(f"{where}: the runs are {sum(counts):,} pixels long together, where {total:,} are wanted")
    return Runs(np.array(counts, np.uint32).tobytes(), size, top, left, by_column)


def coco_runs(segmentation: Any, size: Size, where: str) -> Runs:
    """COCO's run-length encoding: {"size": [H, W], "counts": a list, or the text that pycocotools compresses it to}.

    Raises:
        UserError: another size than the picture's, or runs that do not fill it.
    """
    given = need(segmentation, "size", where, list)
    if len(given) != 2 or size_of(given[0], given[1], where) != size:
        raise UserError(f"{where}: the runs are for a size of {given}, the picture has {list(size)}")
    counts = need(segmentation, "counts", where, (list, str))
    counts = counts if isinstance(counts, list) else uncompressed(counts, where)
    return checked_runs(counts, size, where, by_column=True)


def uncompressed(text: str, where: str) -> list[int]:
    """The runs in a text of COCO: 5 bits a letter from the lowest up, a sixth bit where more follow, the last one's fifth
    is the sign; from the third run on, the difference to the one before the last.

    Raises:
        UserError: another letter, or a number that never ends.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 40:
            raise UserError(f"{where}: the letter {letter!r} belongs to no compressed runs")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        value -= (1 << shift) if code & 16 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise UserError(f"{where}: the compressed runs are cut short")
    return counts
