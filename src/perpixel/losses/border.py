"""U-Net's border weight map: background between two close instances counts most."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from perpixel.core import IGNORE


def border_weights(
    labels: NDArray[np.integer],
    instances: NDArray[np.integer] | None = None,
    w0: float = 10.0,
    sigma: float = 5.0,
    class_balance: bool = True,
    background: int = 0,
    ignore_index: int = IGNORE,
) -> NDArray[np.float32]:
    """The weight of each pixel of one image, (H, W) float32.

        w(x) = w_c(x) + w0 * exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

    d1 and d2 are the Euclidean distances in pixels from x to the nearest pixel of the nearest and of the second nearest
    instance. The second term is on background pixels only, as in published code; the paper's sum is over all pixels.

    Args:
        labels: (H, W) integers, classes or `ignore_index`.
        instances: (H, W) integers, 0 for none and one number an instance. None takes the 4-connected components of each
            class but the background, which a diagonal line of background one pixel wide still separates.
        w0, sigma: the term's height, and its width in pixels.
        class_balance: w_c = valid pixels / (classes in this image * pixels of c), so that every class has the same sum
            and the mean is 1. False for w_c = 1, for use beside a loss with class weights of the whole training set.
        background: the class between the instances.
        ignore_index: the label whose pixels weigh 0; an instance's distances count under it all the same.

    Fewer than two instances: the second term is 0. All ignored: zeros.

    Source: U-Net (Ronneberger et al. 2015, section 3, equation 2).

    Raises:
        ValueError: when labels are not (H, W), instances have another shape, or sigma is not above 0.
    """
    if labels.ndim != 2 or (instances is not None and instances.shape != labels.shape) or sigma <= 0:
        shape = None if instances is None else instances.shape
        raise ValueError(
            f"expected labels and instances of one (H, W), sigma > 0; got {labels.shape}, {shape}, {sigma}"
        )
    if instances is None:
        instances = _components(labels, background, ignore_index)
    weights = _balance(labels, ignore_index) if class_balance else np.ones(labels.shape)
    distance = _two_nearest(instances, reach=ceil(6 * sigma)).sum(axis=0)
    weights += np.where(labels == background, w0 * np.exp(-(distance**2) / (2 * sigma**2)), 0.0)
    return np.where(labels == ignore_index, 0.0, weights).astype(np.float32)


def _components(labels: NDArray[np.integer], background: int, ignore_index: int) -> NDArray[np.int32]:
    instances = np.zeros(labels.shape, np.int32)
    for c in np.setdiff1d(labels, [background, ignore_index]):
        components, _ = ndimage.label(labels == c)
        instances += np.where(components > 0, components + instances.max(), 0).astype(np.int32)
    return instances


def _balance(labels: NDArray[np.integer], ignore_index: int) -> NDArray[np.float64]:
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    valid = classes != ignore_index
    balance = counts[valid].sum() / (max(valid.sum(), 1) * counts)
    return balance[inverse.reshape(labels.shape)]


def _two_nearest(instances: NDArray[np.integer], reach: int) -> NDArray[np.float64]:
    """(2, H, W): the distances to the nearest and second nearest instance, infinity beyond `reach`.

    Each instance is measured in its own window: further than 6 sigma the term is below 2e-8 of w0, and a whole-image
    transform an instance would take minutes for a crowded image.
    """
    nearest = np.full((2, *instances.shape), np.inf)
    numbers, compact = np.unique(instances, return_inverse=True)
    compact = compact.reshape(instances.shape) + (0 if numbers[0] == 0 else 1)
    for i, box in enumerate(ndimage.find_objects(compact), start=1):
        window = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
        distance = ndimage.distance_transform_edt(compact[window] != i)
        first, second = nearest[:, *window]
        second[...] = np.minimum(second, np.maximum(first, distance))
        first[...] = np.minimum(first, distance)
    return nearest
