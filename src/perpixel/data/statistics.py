"""What is in the masks and images of a split: which values, how many pixels of each class, how bright each channel."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from perpixel.core.image import Array, read_mask
from perpixel.data.loader import read_labels, read_pair
from perpixel.data.samples import Sample
from perpixel.data.transforms import to_tensor
from perpixel.data.values import taxonomy_of_values, value_counts
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Value

IMAGES_MEASURED = 64
"""So many images, evenly spread over the split, give the channels' mean and standard deviation."""


@dataclass(frozen=True)
class ClassCounts:
    """pixels (K,), the pixels of each class; image_pixels (K,), all labelled pixels of the images that hold it;
    images (K,), how many images hold it; labelled and total, pixels over the split."""

    pixels: Array
    image_pixels: Array
    images: Array
    labelled: int
    total: int


@dataclass(frozen=True)
class ImageStatistics:
    """Channels and their mean and standard deviation (in [0, 1] for 8- and 16-bit images, as stored for floats),
    and the median (H, W) of those measured."""

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    median_size: tuple[int, int]


def infer_taxonomy(samples: Sequence[Sample]) -> Taxonomy:
    """The taxonomy that masks speak for themselves when nobody wrote one down.

    It is taken as told only where there is one reading: values 0 and 255 alone (background, foreground), or
    values 0 to K-1 without a gap, with 255 as ignore. A palette in the files gives the colours.

    Raises:
        UserError: any other values; the message says how to name them.
    """
    total: Counter[Value] = Counter()
    palette: Array | None = None
    with ThreadPoolExecutor(2) as pool:
        for mask in pool.map(read_mask, [s.mask for s in samples if s.mask is not None]):
            total += value_counts(mask)
            palette = mask.palette if palette is None else palette
    return taxonomy_of_values(total, palette, where=str(samples[0].mask and samples[0].mask.parent))


def count_classes(samples: Sequence[Sample], taxonomy: Taxonomy) -> ClassCounts:
    """Counts every mask of a split; raises UserError for a value of no class."""
    k = taxonomy.num_classes
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda s: np.bincount(read_labels(s, taxonomy).ravel(), minlength=256), samples))
    table = np.array(rows, np.int64).reshape(-1, 256)
    classes = table[:, :k]
    labelled = classes.sum(1)
    return ClassCounts(
        pixels=classes.sum(0),
        image_pixels=((classes > 0) * labelled[:, None]).sum(0),
        images=(classes > 0).sum(0),
        labelled=int(labelled.sum()),
        total=int(table.sum()),
    )


def measure_images(samples: Sequence[Sample], taxonomy: Taxonomy) -> ImageStatistics:
    """Channels, mean, standard deviation and median size of up to `IMAGES_MEASURED` images, evenly spread."""
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, IMAGES_MEASURED).astype(int))]
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda s: _moments(read_pair(s, taxonomy)[0]), chosen))
    channels = Counter(len(mean) for mean, _, _ in rows).most_common(1)[0][0]
    alike = [r for r in rows if len(r[0]) == channels]
    mean = np.mean([m for m, _, _ in alike], axis=0)
    std = np.sqrt(np.maximum(np.mean([s for _, s, _ in alike], axis=0) - mean**2, 0))
    std = np.where(std > 1e-6, std, 1.0)  # a constant channel stays as it is instead of being divided by nothing
    height, width = np.median([size for _, _, size in rows], axis=0)
    return ImageStatistics(channels, _rounded(mean), _rounded(std), (int(height), int(width)))


def _moments(image: Array) -> tuple[Array, Array, tuple[int, int]]:
    pixels = to_tensor(image).flatten(1)[:, ::7].double()
    if image.dtype == np.uint8:
        pixels /= 255.0
    return pixels.mean(1).numpy(), (pixels**2).mean(1).numpy(), (image.shape[0], image.shape[1])


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in values)
