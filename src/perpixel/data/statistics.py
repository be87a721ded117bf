"""What is in the masks and images of a split: which values, how many pixels of each class, how bright each channel."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array, RawMask, read_mask
from perpixel.data.folders import Sample
from perpixel.data.loader import read_labels, read_pair
from perpixel.data.transforms import to_tensor
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Colour, Value

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


def value_counts(mask: RawMask) -> Counter[Value]:
    """How many pixels hold each value of a mask; values are integers, or colours (r, g, b)."""
    values = mask.values
    if values.ndim == 2:
        found, counts = np.unique(values, return_counts=True)
        return Counter({int(v): int(n) for v, n in zip(found, counts, strict=True)})
    packed = values.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, counts = np.unique(packed, return_counts=True)
    return Counter({(int(v) >> 16, int(v) >> 8 & 255, int(v) & 255): int(n) for v, n in zip(found, counts, strict=True)})


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


def taxonomy_of_values(values: Iterable[Value], palette: Array | None, where: str) -> Taxonomy:
    """The rule of `infer_taxonomy` on the values found."""
    found = set(values)
    if found == {0, 255}:
        return Taxonomy.of(["background", "foreground"], [(0, 0, 0), (255, 64, 64)], [(0,), (255,)], ignore=())
    plain = {v for v in found if isinstance(v, int)} - {IGNORE}
    k = len(plain)
    if plain != set(range(k)) or len(plain) < len(found - {IGNORE}) or k < 2:
        shown = ", ".join(str(v) for v in sorted(found, key=str)[:6]) + (", ..." if len(found) > 6 else "")
        raise UserError(
            f"{where}: the masks hold the values {shown}, which do not say what the classes are; "
            "write a dataset.yaml that names them (perpixel check DATA --write makes a starter)"
        )
    colours: list[Colour] | None = None
    if palette is not None and len(palette) >= k and len({tuple(c) for c in palette[:k].tolist()}) == k:
        colours = [(int(r), int(g), int(b)) for r, g, b in palette[:k]]
    return Taxonomy.of([f"class {i}" for i in range(k)], colours)


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
