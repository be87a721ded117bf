"""Folders that may hold the masks: where there are several, only the user knows which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.image import RawMask, image_size, read_mask
from perpixel.data.listing import list_images

FEW_VALUES = 40
"""A picture of more values than this is taken for a photo or a measurement, not for a mask."""


def may_hold_masks(folder: Path, images: Path) -> bool:
    """Whether a folder of any name has masks of the images: half as many pictures or more, the first of few values and
    of the size of the first image."""
    pictures, found = list_images(folder), list_images(images)
    if not found or 2 * len(pictures) < len(found):
        return False
    try:
        return 1 < len(_values(read_mask(pictures[0]))) <= FEW_VALUES and image_size(pictures[0]) == image_size(
            found[0]
        )
    except UserError:
        return False


def which_masks(root: Path, folders: Sequence[Path]) -> str:
    """The question which of several folders holds the masks, with what each holds, and how to answer it."""
    said = "; ".join(f"{folder.name}/ ({_holds(folder)})" for folder in folders)
    return (
        f"{root}: more than one folder may hold the masks: {said}. "
        f"Say which in {root / 'dataset.yaml'}, for example the line masks: {folders[-1].name}"
    )


def _holds(folder: Path) -> str:
    pictures = list_images(folder)
    try:
        values = _values(read_mask(pictures[0]))
    except UserError:
        return f"{len(pictures)} pictures"
    some = ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
    return f"{len(pictures)} pictures, {pictures[0].name} has {some}"


def _values(mask: RawMask) -> list[object]:
    flat = mask.values.reshape(-1, *mask.values.shape[2:])
    return np.unique(flat, axis=0).tolist()
