"""Batches whose order and augmentation are pure functions of (seed, epoch, index).

The n-th sample of the endless stream belongs to epoch n // N and is place n % N of that epoch's permutation. A run that is
resumed at any step, with any number of workers, therefore sees what the uninterrupted one saw.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter
from perpixel.data.pairs import read_labels, read_pair
from perpixel.data.samples import Sample
from perpixel.data.tensors import resize_short_side, to_tensor
from perpixel.data.transforms import Augmentation, augment
from perpixel.labels import Taxonomy

_DECODED_TOGETHER = 16
B = TypeVar("B")


@dataclass(frozen=True)
class Batch:
    """image (B, C, H, W) uint8 or float32, labels (B, H, W) uint8, and the samples' names."""

    image: Tensor
    labels: Tensor
    names: tuple[str, ...]


class TrainingSet(Dataset[tuple[Tensor, Tensor, str]]):
    """Samples by (epoch, index), augmented; decoded pairs are kept in memory when all of them fit.

    Args:
        samples: with masks.
        taxonomy: how masks become labels.
        augmentation: what is drawn at random.
        seed: of everything random.
        read: gives a sample's image (H, W, C) and labels (H, W); files as they are stored by default.
        short_side: images are first resized to this shorter side, in pixels; None keeps their size.
        memory_bytes: how much the decoded pairs may take; None is a quarter of the machine's free memory.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        taxonomy: Taxonomy,
        augmentation: Augmentation,
        seed: int = 0,
        read: Callable[[Sample, Taxonomy], tuple[Array, Array]] = read_pair,
        short_side: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self.samples, self.taxonomy, self.augmentation = tuple(samples), taxonomy, augmentation
        self.seed, self.read, self.short_side = seed, read, short_side
        self.memory_bytes = free_memory() // 4 if memory_bytes is None else memory_bytes
        self._kept: Sequence[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
        epoch, index = key
        image, labels = self.pair(index)
        rng = np.random.default_rng((self.seed, epoch, index))
        image, labels = augment(image, labels, self.augmentation, rng)
        return image, labels, self.samples[index].name

    def labels(self, index: int) -> Array:
        """The labels (H, W) of a sample at the size of its file."""
        return (
            self._kept[index][1].numpy()
            if self._kept and self.short_side is None
            else read_labels(self.samples[index], self.taxonomy)
        )

    def pair(self, index: int) -> tuple[Tensor, Tensor]:
        """The pair as it is before augmentation, from memory where it is kept."""
        return self._kept[index] if self._kept else self.decode(index)

    def decode(self, index: int) -> tuple[Tensor, Tensor]:
        """The pair as it is before augmentation."""
        image_array, label_array = self.read(self.samples[index], self.taxonomy)
        image, labels = to_tensor(image_array), torch.from_numpy(np.ascontiguousarray(label_array))
        if self.short_side is None:
            return image, labels
        resized, resized_labels = resize_short_side(image, labels, self.short_side)
        assert resized_labels is not None
        return resized, resized_labels

    def keep_in_memory(self, report: Reporter | None = None) -> bool:
        """Decodes everything once, unless it turns out not to fit; says whether it did. `report` may raise to stop."""
        if self._kept:
            return True
        if nbytes(self.decode(0)) * len(self) > self.memory_bytes:
            return False  # not worth beginning; later pairs may still be larger than the first
        left, kept = self.memory_bytes, []
        for pair in self.decoded(report):
            left -= nbytes(pair)
            if left < 0:
                return False
            kept.append(pair)
        self._kept = kept
        return True

    def decoded(self, report: Reporter | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Every pair in order, as it is before augmentation, decoded by all processors; `report` may raise to stop."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders release the interpreter's lock
            for first in range(0, len(self), _DECODED_TOGETHER):
                if report is not None:
                    report.step(first, len(self), "decoding")
                yield from pool.map(self.decode, range(first, min(first + _DECODED_TOGETHER, len(self))))

    def keep(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Takes these for what `decode` gives, in order."""
        self._kept = pairs


def nbytes(pair: tuple[Tensor, Tensor]) -> int:
    """Bytes of image and labels in memory."""
    return pair[0].nbytes + pair[1].nbytes


@dataclass(frozen=True)
class Stream:
    """The endless order of samples: which (epoch, index) keys make the batch of a step.

    Under several processes each of `world` ranks takes its own part of every step.
    """

    length: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world: int = 1

    def keys(self, step: int) -> list[tuple[int, int]]:
        """(epoch, index) of each sample of a step, counted from 0."""
        first = (step * self.world + self.rank) * self.batch_size
        return [self._key(n) for n in range(first, first + self.batch_size)]

    def _key(self, n: int) -> tuple[int, int]:
        epoch, place = divmod(n, self.length)
        return epoch, int(self._order(epoch)[place])

    def _order(self, epoch: int) -> Array:
        if self._recent.get(epoch) is None:
            self._recent.clear()
            self._recent[epoch] = np.random.default_rng((self.seed, epoch)).permutation(self.length)
        return self._recent[epoch]

    @cached_property
    def _recent(self) -> dict[int, Array]:
        return {}


class Order(Protocol):
    """An order of samples, such as `Stream`."""

    def keys(self, step: int) -> list[tuple[int, int]]:
        """(epoch, index) of each sample of a step, counted from 0: a pure function of it."""


class _Steps:
    """The batch sampler: the keys of every step from `start` to `stop`."""

    def __init__(self, stream: Order, start: int, stop: int) -> None:
        self.stream, self.start, self.stop = stream, start, stop

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return (self.stream.keys(step) for step in range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop - self.start


def batches(dataset: TrainingSet, stream: Order, start: int, stop: int, workers: int = 0) -> Iterator[Batch]:
    """The batches of steps `start` to `stop` - 1; the same for any number of workers.

    Raises:
        UserError: a sample cannot be read or does not fit to the others.
    """
    return batches_of(dataset, collate, stream, start, stop, workers)


def batches_of(
    dataset: Dataset[Any], collate: Callable[[Any], B], stream: Order, start: int, stop: int, workers: int = 0
) -> Iterator[B]:
    """`batches` of any data set by (epoch, index), put together by `collate`.

    Raises:
        UserError: a sample cannot be read or does not fit to the others.
    """
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=_Steps(stream, start, stop),  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # or starting to iterate would draw from the generator of dropout
    )
    try:
        yield from loader
    except UserError as error:  # a worker's comes with its traceback in the message
        raise UserError(str(error).rsplit("UserError: ", 1)[-1].strip()) from None


def collate(items: Sequence[tuple[Tensor, Tensor, str]]) -> Batch:
    """Stacks samples; where 8-bit and 16-bit images meet, all become float32 in [0, 1].

    Raises:
        UserError: the images differ in channels.
    """
    images, labels, names = zip(*items, strict=True)
    for image, name in zip(images, names, strict=True):
        if image.shape[0] != images[0].shape[0]:
            raise UserError(
                f"{name}: {image.shape[0]} channels beside {images[0].shape[0]} in {names[0]}; "
                "all images of a data set must have the same channels"
            )
    if len({image.dtype for image in images}) > 1:
        images = tuple(x.float() / 255.0 if x.dtype == torch.uint8 else x for x in images)
    return Batch(torch.stack(images), torch.stack(labels), names)


def free_memory() -> int:
    """Bytes of memory that are free on this machine, or 4 GiB where it does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 * 2**30
