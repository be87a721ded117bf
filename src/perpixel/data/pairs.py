"""A sample's image and labels as they are read, cut to its window, with what there is to say of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.image import Array, RawMask, read_raster
from perpixel.data.notes import raster_notes
from perpixel.data.palettes import other_order
from perpixel.data.samples import Sample
from perpixel.data.window import cut, hw, lies_inside
from perpixel.labels import Taxonomy


def read_pair(
    sample: Sample, taxonomy: Taxonomy, mean: Sequence[float] = (), channels: int | None = None
) -> tuple[Array, Array]:
    """The image (H, W, C) and labels (H, W) uint8 of a sample, cut to its window.

    `channels` are wanted of the image, as for `read_image`. Where the image holds no measurement (NaN, "no data"), it is
    `mean`, one a channel, or 0; where that is so in all channels the label is 255.

    Raises:
        UserError: a file cannot be read, the sizes differ, or the mask holds a value of no class.
    """
    noted = read_noted(sample, taxonomy, mean, channels)
    return noted.image, noted.labels


@dataclass(frozen=True)
class Noted:
    """A pair as `read_pair` gives it; notes, a line for each thing of the image that is not taken as it is stored; order, words
    for a mask whose palette has the classes in another order than the taxonomy, or None."""

    image: Array
    labels: Array
    notes: list[str]
    order: str | None


def read_noted(sample: Sample, taxonomy: Taxonomy, mean: Sequence[float] = (), channels: int | None = None) -> Noted:
    """As `read_pair`, with what there is to say of it."""
    raster, mask = read_raster(sample.image, channels), _read_mask(sample)
    image, labels = raster.filled(mean), taxonomy.encode(mask, str(sample.mask_path))
    if image.shape[:2] != labels.shape:
        raise UserError(size_mismatch(sample, image.shape[:2], labels.shape))
    if raster.valid is not None:
        labels = np.where(raster.measured(), labels, np.uint8(255))
    notes = raster_notes(raster, channels or image.shape[2])
    return Noted(_part(sample, image), _part(sample, labels), notes, other_order(mask, taxonomy))


def read_labels(sample: Sample, taxonomy: Taxonomy) -> Array:
    """The labels (H, W) uint8 of a sample, cut to its window."""
    return _part(sample, taxonomy.encode(_read_mask(sample), str(sample.mask_path)))


def _read_mask(sample: Sample) -> RawMask:
    if sample.mask is None:
        raise UserError(f"{sample.image}: there is no mask for this image")
    return sample.mask.read()


def _part(sample: Sample, array: Array) -> Array:
    if sample.window is not None and not lies_inside(sample.window, array.shape):
        raise UserError(f"{sample.mask_path}: window {list(sample.window)} lies outside of its {hw(array.shape)}")
    return cut(array, sample.window)


def size_mismatch(sample: Sample, image: Sequence[int], mask: Sequence[int]) -> str:
    """The words for a mask of another size than its image."""
    turned = tuple(image) == (mask[1], mask[0])
    hint = (
        "the image is turned by its EXIF orientation, the mask is not: turn the mask"
        if turned
        else "they must be equal"
    )
    return f"{sample.mask_path}: the mask is {hw(mask)} (HxW) but its image is {hw(image)}; {hint}"
