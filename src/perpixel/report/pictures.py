"""Pictures that compare a prediction with the truth, small enough to put on a page."""

import base64
import io

import numpy as np
from PIL import Image

from perpixel.core import IGNORE
from perpixel.core.image import Array

SIDE = 480
QUALITIES = (85, 65, 40)
ENOUGH = 110_000  # bytes
WRONG = (226, 45, 45)
_HATCH = 70  # grey of the lines over ignored pixels; what lies between them is black
_GREY = (25, 0.45)  # correct pixels: so much, and so much of the image's brightness; dim, for the errors to stand out


def error_picture(prediction: Array, truth: Array, image: Array, ignore_index: int = IGNORE) -> Array:
    """Where a prediction is wrong: correct pixels are a dim grey image, wrong ones red, ignored ones hatched black.

    Args:
        prediction: (H, W) labels.
        truth: (H, W) labels; `ignore_index` where nobody knows.
        image: (H, W, 3) uint8 in [0, 255].
        ignore_index: the label that is not a class.

    Returns:
        (H, W, 3) uint8.

    >>> picture = error_picture(np.array([[0, 1]]), np.array([[0, 0]]), np.zeros((1, 2, 3), np.uint8))
    >>> picture[0].tolist()
    [[25, 25, 25], [226, 45, 45]]
    """
    base, share = _GREY
    grey = base + share * image.astype(np.float32).mean(axis=2, keepdims=True)
    picture = np.repeat(grey, 3, axis=2).astype(np.uint8)
    picture[prediction != truth] = WRONG
    ignored = truth == ignore_index
    picture[ignored] = _hatch(truth.shape)[ignored][:, None]
    return picture


def _hatch(shape: tuple[int, ...]) -> Array:
    """(H, W) uint8 of diagonal lines, as wide as it takes to survive the shrinking to `SIDE`."""
    period = max(6, round(max(shape) / SIDE * 8))
    diagonal = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % period
    return np.where(diagonal < period // 3, _HATCH, 0).astype(np.uint8)


def shrink(picture: Array, side: int = SIDE) -> Image.Image:
    """An (H, W, 3) uint8 picture of at most `side` x `side`; each pixel is the mean of those it stands for, so that
    a thin thing fades and does not vanish. A smaller picture stays as it is."""
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    found = Image.fromarray(picture)
    if factor >= 1:
        return found
    return found.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BOX)


def data_uri(picture: Image.Image) -> str:
    """The picture as a WebP inside of a `data:` address; a noisy one is coded coarser, for a page to stay small."""
    for quality in QUALITIES:
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality, method=4)
        if file.tell() <= ENOUGH:
            break
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
