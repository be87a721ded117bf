"""An image in other numbers than a model was trained on: converted by a rule that is written here, or refused.

trained on      image           becomes
float32         uint8, uint16   the same numbers
uint8, uint16   the other one   the same share of the full scale, 255 or 65535
uint8, uint16   float32         the same share, if all of it lies in [0, 1]; the same numbers, if all of it are whole numbers
                                of that type; else it is refused

Where the range of the training images is known, an image whose average lies beyond it by more than the range's width is
refused. So is one of another type that varies by less than 0.3 of that range (by the full scale), or whose type cannot hold
half of it (as counts): bytes stored as 16 bits, or 12-bit counts, are not taken for a dark image of bytes. Bytes for a model of
bytes are always taken as they are. Of a model whose training images' type is not known, its mean and deviation are: an image
whose mean lies further from it than 20 deviations, and than 1, is refused.
"""

from collections.abc import Sequence

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.image import Array

FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
TRAINED = "the model was trained on"
_LEAST_SPREAD = 0.3  # of the trained range
_FARTHEST = 20  # deviations


def in_trained_numbers(
    image: Array,
    dtype: str | None,
    value_range: tuple[float, float] | None,
    where: str = "image",
    others: str = TRAINED,
) -> Array:
    """The (H, W, C) image, as float32 where its whole numbers mean what floats meant in training.

    Args:
        image: uint8, uint16 or float32.
        dtype: of the training images; None takes everything as it is.
        value_range: of the training images, as stored.
        where, others: what to call the image and those of training in an error.

    Raises:
        UserError: the numbers cannot mean what those of the training images meant.

    >>> in_trained_numbers(np.full((1, 1, 1), 7, np.uint8), "float32", (0.0, 9.0)).dtype
    dtype('float32')
    """
    if dtype is None or image.dtype == dtype == "uint8":
        return image
    if image.dtype == np.float32 and dtype != "float32" and (image.min() < 0 or image.max() > 1):
        if image.min() < 0 or image.max() > FULL_SCALE[dtype] or (image != np.rint(image)).any():
            words = f"{where}: {others}"
            raise _refusal(image, dtype, value_range, words, "give it in the same numbers, or as floats in [0, 1]")
        return in_trained_numbers(image.astype(dtype), dtype, value_range, where, others)
    if value_range is not None and not _is_plausible(image, dtype, value_range):
        raise _refusal(image, dtype, value_range, f"{where}: {others}", "give it in the same numbers")
    return image.astype(np.float32, copy=False) if dtype == "float32" else image


def refuse_far(image: Array, mean: Sequence[float], std: Sequence[float], where: str = "image") -> None:
    """Raises UserError for an (H, W, C) image whose mean is not near that of a model's training images, where that is all we know.

    Args:
        image: uint8, uint16 or float32.
        mean, std: one a channel, in [0, 1] for 8 and 16 bits and as stored for floats.
        where: what to call the image in an error.
    """
    own = image.mean((0, 1), dtype=np.float64) / FULL_SCALE[image.dtype.name]
    farthest = np.maximum(_FARTHEST * np.asarray(std), 1)  # networks of Caffe's kind have a std of 1 / 255
    if (np.abs(own - mean) > farthest).any():
        usual = f"a mean of {min(mean):.3g}" + (f" to {max(mean):.3g}" if min(mean) < max(mean) else "")
        raise UserError(
            f"{where}: the model was trained on images of {usual}, this one is {image.dtype} of {image.min():g} to "
            f"{image.max():g}; give it in the same numbers (photos as bytes, or as floats in [0, 1])"
        )


def _is_plausible(image: Array, dtype: str, value_range: tuple[float, float]) -> bool:
    """Whether an image lies about where the training images lay: as counts for floats, else as shares of the full scale."""
    counts, own = dtype == "float32", FULL_SCALE[image.dtype.name]
    low, high = (v if counts else v / FULL_SCALE[dtype] for v in value_range)
    width, mean = high - low, float(image.mean(dtype=np.float64)) / (1.0 if counts else own)
    if not low - width <= mean <= high + width:
        return False
    if image.dtype == dtype:
        return True
    spread = (float(image.max()) - float(image.min())) / own
    return 2 * own >= high if counts else spread == 0 or spread >= _LEAST_SPREAD * width


def _refusal(
    image: Array, dtype: str, value_range: tuple[float, float] | None, words: str, what_to_do: str
) -> UserError:
    trained = f"{dtype} images" + (f" of {value_range[0]:g} to {value_range[1]:g}" if value_range else "")
    own = f"{image.dtype} of {image.min():g} to {image.max():g}"
    return UserError(f"{words} {trained}, this one is {own}; {what_to_do}")
