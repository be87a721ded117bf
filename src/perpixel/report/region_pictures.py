"""A wrong region in its surroundings: the image, the truth and the prediction, with the region outlined in each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from perpixel.core.image import Array
from perpixel.explain.worst import WrongRegion

SHOWN = 300
"""Pixels of the longer side of a picture."""
LEAST = 96
"""Pixels of the image a side that are shown around a region, where the image has them."""
INNER, OUTER = (255, 230, 0), (0, 0, 0)  # yellow on black is seen on every colour of a class


def region_pictures(region: WrongRegion, pictures: dict[str, Array]) -> dict[str, Image.Image]:
    """Cuts the region's surroundings out of each picture, enlarges them, and draws its outline.

    Args:
        region: where.
        pictures: (H, W, 3) uint8 each, of the region's image.
    """
    size = next(iter(pictures.values())).shape[:2]
    rows, columns = _window(region, (size[0], size[1]))
    mask = np.zeros(size, bool)
    height, width = region.mask.shape
    mask[region.top : region.top + height, region.left : region.left + width] = region.mask
    factor = SHOWN / max(rows.stop - rows.start, columns.stop - columns.start)
    inner, outer = _outline(_resized(mask[rows, columns].view(np.uint8), factor, Image.Resampling.NEAREST) > 0)
    found = {}
    for name, picture in pictures.items():
        how = Image.Resampling.BICUBIC if name == "image" else Image.Resampling.NEAREST
        shown = _resized(picture[rows, columns], factor, how)
        shown[outer], shown[inner] = OUTER, INNER
        found[name] = Image.fromarray(shown)
    return found


def _window(region: WrongRegion, size: tuple[int, int]) -> tuple[slice, slice]:
    """A square around the region, as far as the image has it."""
    height, width = region.mask.shape
    side = max(LEAST, round(1.5 * max(height, width)))
    spans = []
    for start, length, whole in ((region.top, height, size[0]), (region.left, width, size[1])):
        first = max(0, min(start + length // 2 - side // 2, whole - side))
        spans.append(slice(first, min(first + side, whole)))
    return spans[0], spans[1]


def _resized(array: Array, factor: float, how: Image.Resampling) -> NDArray[Any]:
    height, width = (max(1, round(n * factor)) for n in array.shape[:2])
    return np.array(Image.fromarray(np.ascontiguousarray(array)).resize((width, height), how))


def _outline(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """A line of 2 pixels around the mask, and one of 2 around that."""
    grown = [ndimage.binary_dilation(mask, iterations=i) for i in (2, 4)]
    return grown[0] & ~mask, grown[1] & ~grown[0]
