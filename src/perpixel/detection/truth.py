"""The true objects of a sample: from its mask of classes alone, or from a mask of instances beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import numpy as np

from perpixel.core.errors import UserError, nearest
from perpixel.core.image import Array, read_mask
from perpixel.data.pairs import read_pair
from perpixel.data.samples import Sample
from perpixel.detection.boxes import (
    LEAST_PIXELS,
    LEAST_SIDE,
    objects_of_cityscapes,
    objects_of_instances,
    objects_of_regions,
)
from perpixel.detection.objects import Objects
from perpixel.labels import Taxonomy

BACKGROUND = "background"
CITYSCAPES = "cityscapes"
CITYSCAPES_IDS = {
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "caravan": 29,
    "trailer": 30,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}


@dataclass(frozen=True)
class ObjectRule:
    """Which objects the masks of a data set show.

    Args:
        classes: the names of those classes that are objects; `classes[k]` is class k of a detector.
        instances: the name of the folder with masks of instances: that of a sample has the path of its mask, with one
            folder's name replaced by this one (VOC: "SegmentationObject"). "cityscapes" takes the `instanceIds` files
            beside the masks. None: every connected region is an object.
        least_pixels, least_side: what is smaller is difficult, see `perpixel.detection.boxes`.
    """

    classes: tuple[str, ...]
    instances: str | None = None
    least_pixels: int = LEAST_PIXELS
    least_side: int = LEAST_SIDE


def object_classes(taxonomy: Taxonomy, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The wanted classes, or all but the one named "background", or, where none is, but the first.

    Raises `UserError` for a class that the data does not have, one given twice, and none at all.
    """
    names = taxonomy.names
    if wanted is None:
        ground = BACKGROUND if BACKGROUND in names else names[0]
        wanted = [name for name in names if name != ground]
    for name in wanted:
        if name not in names:
            raise UserError(f'"{name}" is no class of the data ({", ".join(names)}).{nearest(name, names)}')
    if not wanted or len(set(wanted)) < len(wanted):
        raise UserError(
            f"detection.classes must name one class of objects or more, each once; got {', '.join(wanted) or 'none'}"
        )
    return tuple(wanted)


def read_objects(
    sample: Sample, taxonomy: Taxonomy, rule: ObjectRule, mean: Sequence[float] = (), channels: int | None = None
) -> tuple[Array, Objects]:
    """The image (H, W, C) of a sample, and its objects in the image's own pixels; `mean` and `channels` as for `read_pair`.

    Raises `UserError` where a file cannot be read, and where there is no mask of instances.
    """
    image, labels = read_pair(sample, taxonomy, mean, channels)
    return image, objects_of(sample, labels, taxonomy, rule)


def objects_of(sample: Sample, labels: Array, taxonomy: Taxonomy, rule: ObjectRule) -> Objects:
    """The objects of a sample whose labels (H, W) are at hand."""
    numbers = [taxonomy.names.index(name) for name in rule.classes]
    least = rule.least_pixels, rule.least_side
    if rule.instances is None:
        return objects_of_regions(labels, numbers, *least)
    ids = _read_ids(sample, rule.instances)
    if rule.instances == CITYSCAPES:
        known = {CITYSCAPES_IDS[name]: k for k, name in enumerate(rule.classes) if name in CITYSCAPES_IDS}
        return objects_of_cityscapes(ids, known, *least)
    void = (0, 255) if ids.dtype == np.uint8 else (0,)
    return objects_of_instances(ids, labels, numbers, void, *least)


def _read_ids(sample: Sample, instances: str) -> Array:
    file = instance_file(sample, instances)
    ids = read_mask(file).values
    if ids.ndim != 2:
        raise UserError(f"{file}: a mask of instances has one number a pixel, this one has colours")
    if sample.window is None:
        return ids
    top, left, height, width = sample.window
    return ids[top : top + height, left : left + width]


def instance_file(sample: Sample, instances: str) -> Path:
    """Where the mask of instances of a sample is.

    Raises `UserError` where there is none.
    """
    mask = sample.mask_path or sample.image
    if instances == CITYSCAPES:
        found = [mask.with_name(f"{mask.stem.rsplit('_', 1)[0]}_instanceIds.png")]
    else:
        places = range(len(mask.parts) - 2, 0, -1)
        bases = [Path(*mask.parts[:i], instances, *mask.parts[i + 1 :]) for i in places]
        found = [other for base in bases for other in (base, *sorted(base.parent.glob(f"{escape(mask.stem)}.*")))]
    for file in found:
        if file.is_file():
            return file
    looked = found[0].name if instances == CITYSCAPES else f'its path with one folder\'s name replaced by "{instances}"'
    raise UserError(f"{mask}: no mask of instances for it; looked for {looked} (detection.instances)")
