"""In which numbers the training images are stored, for the bundle to know (`perpixel.bundle.numbers`)."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from perpixel.core.image import read_image
from perpixel.data.samples import Sample
from perpixel.data.statistics import IMAGES_MEASURED


def trained_numbers(samples: Sequence[Sample]) -> dict[str, Any]:
    """`dtype` and `value_range` of a `Preprocessing`, over up to `IMAGES_MEASURED` images, evenly spread.

    Nothing is said of images of several number types: then any image is taken as it is.
    """
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, IMAGES_MEASURED).astype(int))]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(_numbers, chosen))
    types = {dtype for dtype, _, _ in found}
    if len(types) > 1:
        return {}
    least, greatest = min(low for _, low, _ in found), max(high for _, _, high in found)
    return {"dtype": types.pop(), "value_range": (least, greatest)}


def _numbers(sample: Sample) -> tuple[str, float, float]:
    image = read_image(sample.image)
    return image.dtype.name, float(image.min()), float(image.max())
