"""Training samples with objects: the views of `perpixel.data.loader.TrainingSet`, and the boxes moved with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from perpixel.data.loader import TrainingSet
from perpixel.data.loader import collate as collate_pairs
from perpixel.detection.moves import augment_objects
from perpixel.detection.objects import Objects


@dataclass(frozen=True)
class Batch:
    """image (B, C, H, W) uint8 or float32, the objects of each image, and the samples' names."""

    image: Tensor
    objects: tuple[Objects, ...]
    names: tuple[str, ...]


class DetectionSet(Dataset[tuple[Tensor, Objects, str]]):
    """Samples by (epoch, index), augmented.

    Args:
        pairs: images and masks.
        objects: of each image, in the pixels of `pairs.pair(index)`.
    """

    def __init__(self, pairs: TrainingSet, objects: Sequence[Objects]) -> None:
        self.pairs, self.objects = pairs, tuple(objects)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Objects, str]:
        epoch, index = key
        rng = np.random.default_rng((self.pairs.seed, epoch, index))
        image, labels = self.pairs.pair(index)
        image, _, objects = augment_objects(image, labels, self.objects[index], self.pairs.augmentation, rng)
        return image, objects, self.pairs.samples[index].name


def collate(items: Sequence[tuple[Tensor, Objects, str]]) -> Batch:
    """Stacks images.

    Raises:
        UserError: the images differ in channels.
    """
    stacked = collate_pairs([(image, torch.zeros(0), name) for image, _, name in items])
    return Batch(stacked.image, tuple(objects for _, objects, _ in items), stacked.names)


def pack(objects: Sequence[Objects]) -> Tensor:
    """The objects of several images as one table `(N, 8)`: image, box, class, difficult, crowd."""
    rows = [
        torch.cat(
            [torch.full((len(o), 1), float(n)), o.boxes, torch.stack([o.classes, o.difficult, o.crowd], dim=1).float()],
            dim=1,
        )
        for n, o in enumerate(objects)
    ]
    return torch.cat(rows)


def unpack(table: Tensor, images: int) -> list[Objects]:
    """What `pack` packed."""
    own = [table[table[:, 0] == n] for n in range(images)]
    return [Objects(t[:, 1:5], t[:, 5].long(), t[:, 6] > 0, t[:, 7] > 0) for t in own]
