"""The samples of decoupled training: which masks are used, and what each stage sees of an image.

A mask gives many samples: some of its classes are the foreground, all others the background, and the image is cut to a
window that holds that foreground ("combinatorial cropping", section 4.2 of the paper that `decoupled` names).
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core import IGNORE, Size
from perpixel.core.errors import UserError, nearest
from perpixel.data.tensors import resize_short_side, to_tensor
from perpixel.data.transforms import Augmentation, augment
from perpixel.labels import Taxonomy

KEPT = 320 / 350
"""The least part of each side of an image that stage 1 sees: the authors take 320 of 350 pixels."""


class Weak(NamedTuple):
    """Images `(C, H, W)` uint8 or float32, each of its own size, and `present` (N, classes) bool, background left out."""

    images: list[Tensor]
    present: Tensor


class Strong(NamedTuple):
    """Images as in `Weak`, and their labels `(H, W)` uint8: 0 the background, then the classes, 255 ignored."""

    images: list[Tensor]
    labels: list[Tensor]


def choose(present: Tensor, per_class: int, rng: np.random.Generator) -> list[int]:
    """Which images' masks are used: for each class, the rarest first, `per_class` that show it and are not taken yet."""
    taken: list[int] = []
    for c in torch.argsort(present.sum(dim=0)).tolist():
        left = np.setdiff1d(np.flatnonzero(present[:, c].numpy()), taken)
        taken += rng.permutation(left)[:per_class].tolist()
    return sorted(taken)


def with_more(
    weak: Weak,
    more: Mapping[Path, Collection[str]],
    taxonomy: Taxonomy,
    background: int,
    preprocessing: Preprocessing,
) -> Weak:
    """The images, and those that have no mask, with the classes that they are said to show.

    Raises:
        UserError: there is no such class, or an image cannot be read.
    """
    names = [name for i, name in enumerate(taxonomy.names) if i != background]
    images, rows = list(weak.images), [weak.present]
    for path, shown in more.items():
        for name in shown:
            if name not in taxonomy.names:
                raise UserError(f'{path}: there is no class "{name}".{nearest(name, taxonomy.names)}')
        image = to_tensor(preprocessing.training_image(path))
        images.append(resize_short_side(image, None, preprocessing.short_side or 1)[0])
        rows.append(torch.tensor([[name in shown for name in names]]))
    return Weak(images, torch.cat(rows))


def one_mask(
    strong: Strong, index: int, classes: int, size: Size, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A sample of stage 2: the image, a target of 0, 1 and 255, and (classes,) bool, which classes are the foreground."""
    image, labels = strong.images[index], strong.labels[index]
    chosen = subset(classes_of(labels, classes + 1, 0.0), rng)
    image, labels = around(image, labels, chosen, size, rng)
    return image, only(labels, chosen), chosen


def subset(present: Tensor, rng: np.random.Generator) -> Tensor:
    """One of the present classes or, half of the time, any set of them but the empty one: (classes,) bool both."""
    there = np.flatnonzero(present.numpy())
    taken = np.zeros(len(there), bool)
    if rng.random() < 0.5:
        taken[rng.integers(len(there))] = True
    while not taken.any():
        taken = rng.random(len(there)) < 0.5
    chosen = torch.zeros_like(present)
    chosen[torch.from_numpy(there[taken])] = True
    return chosen


def around(
    image: Tensor, labels: Tensor, chosen: Tensor, size: Size, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A window that holds all of the chosen classes, at random between their box and the whole image, at `size`."""
    inside = only(labels, chosen) == 1
    places = [np.flatnonzero(inside.any(dim=axis).numpy()) for axis in (1, 0)]
    return cut(image, labels, [(int(p[0]), int(p[-1]) + 1) for p in places], size, rng)


def nearly_whole(image: Tensor, labels: Tensor | None, size: Size, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A window of at least `KEPT` of each side, at `size`; labels None are all ignored."""
    spans = [(m := int(length * (1 - KEPT) / 2), length - m) for length in image.shape[-2:]]
    labels = torch.full(image.shape[-2:], IGNORE, dtype=torch.uint8) if labels is None else labels
    return cut(image, labels, spans, size, rng)


def cut(
    image: Tensor, labels: Tensor, spans: Sequence[tuple[int, int]], size: Size, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A random window around the spans (first, end) of rows and of columns, resized to `size`, mirrored, in other light."""
    (top, bottom), (left, right) = (
        (int(rng.integers(first + 1)), int(rng.integers(end, length + 1)))
        for (first, end), length in zip(spans, labels.shape, strict=True)
    )
    box, shape = [top, left, bottom - top, right - left], list(size)
    image = T.resized_crop(image, *box, shape, InterpolationMode.BILINEAR, antialias=True)
    labels = T.resized_crop(labels[None], *box, shape, InterpolationMode.NEAREST_EXACT)[0]
    return augment(image, labels, views(size), rng)


def views(size: Size) -> Augmentation:
    """What happens to a window of the size already: mirroring and jitter."""
    return Augmentation(crop=size, scale=(1.0, 1.0), max_class_share=1.0, flip=True, jitter=0.3)


def only(labels: Tensor, chosen: Tensor) -> Tensor:
    """Labels with the background as 0 -> 1 where one of the `chosen` classes (classes,) bool is, else 0; 255 stays.

    >>> only(torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8), torch.tensor([True, False, True])).tolist()
    [[0, 1, 0, 1, 255]]
    """
    table = np.zeros(256, np.uint8)
    table[IGNORE], table[1 : len(chosen) + 1] = IGNORE, chosen.numpy()
    return torch.from_numpy(table[labels.numpy()])


def background_first(labels: Tensor, background: int) -> Tensor:
    """Labels in which the background is 0 and the classes follow in their order; 255 stays.

    >>> background_first(torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8), 2).tolist()
    [[1, 2, 0, 3, 255]]
    """
    table = np.arange(256, dtype=np.uint8)
    table[:background] += 1
    table[background] = 0
    return torch.from_numpy(table[labels.numpy()])


def classes_of(labels: Tensor, num_classes: int, least_share: float) -> Tensor:
    """Labels with the background as 0 -> (num_classes - 1,) bool: which classes have that share of the pixels, and one.

    >>> classes_of(torch.tensor([[0, 1, 1, 3, 255]], dtype=torch.uint8), 4, 0.5).tolist()
    [True, False, False]
    """
    counts = torch.bincount(labels.flatten(), minlength=256)[:num_classes]
    return counts[1:] >= (least_share * counts.sum()).clamp(min=1)
