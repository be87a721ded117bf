"""Patches of noise slid over an image, and what a network makes of every copy: batches of one pass each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from perpixel.core import Size

ON_CPU, ON_GPU = 2**20, 2**23
"""Pixels in one batch: what keeps memory small, or a GPU busy."""


@dataclass(frozen=True)
class Grid:
    """Where occluders stand: their side, the step between two, and the size of the image, in pixels.

    >>> grid = Grid(size=(227, 227), side=11, step=3)
    >>> grid.shape, grid.corners[:2].tolist(), grid.centre((1, 2))
    ((73, 73), [[0, 0], [0, 3]], (8.0, 11.0))
    """

    size: Size
    side: int
    step: int

    @property
    def shape(self) -> Size:
        """Occluders down and across; each lies inside the image as a whole (or is cut, in an image smaller than it)."""
        down, across = (max(0, n - self.side) // self.step + 1 for n in self.size)
        return down, across

    @property
    def corners(self) -> Tensor:
        """(N, 2) int64: the upper left pixels, row by row."""
        rows, columns = (torch.arange(n) * self.step for n in self.shape)
        return torch.cartesian_prod(rows, columns)

    def touching(self, box: "Box") -> Tensor:
        """(N,) bool: the occluders that cover a pixel of the box."""
        rows, columns = self._along(0, box.top, box.bottom), self._along(1, box.left, box.right)
        return (rows[:, None] & columns).flatten()

    def touched(self, box: "Box") -> int:
        """How many that are."""
        return int(self._along(0, box.top, box.bottom).sum() * self._along(1, box.left, box.right).sum())

    def _along(self, axis: int, first: int, end: int) -> Tensor:
        corners = torch.arange(self.shape[axis]) * self.step
        return (corners + self.side > first) & (corners < end)

    def centre(self, index: tuple[int, int]) -> tuple[float, float]:
        """The middle of an occluder, as (row, column) in the image."""
        half = (self.side - 1) / 2
        return index[0] * self.step + half, index[1] * self.step + half

    def nearest(self, pixel: tuple[float, float]) -> tuple[int, int]:
        """The index of the occluder whose middle is nearest to a pixel, were the grid endless.

        >>> Grid((99, 99), side=11, step=3).nearest((8, 0))
        (1, -2)
        """
        row, column = (math.ceil((p - (self.side - 1) / 2) / self.step - 0.5) for p in pixel)
        return row, column


class Box(NamedTuple):
    """A part of an image, in pixels; bottom and right lie just outside of it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def pixels(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)


def noise(channels: int, side: int, seed: int = 0) -> Tensor:
    """(channels, side, side): one patch for all occluders, uniform with the data's own mean and deviation in each channel.

    Images are normalised, so that is between -sqrt(3) and sqrt(3).
    """
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(channels, side, side, generator=generator) * 2 - 1) * 3**0.5


def occluded_batches(image: Tensor, patch: Tensor, corners: Tensor) -> Iterator[Tensor]:
    """Copies of an image (1, C, H, W), each with the patch at one of the corners, in batches as large as is good.

    What of a patch lies outside the image is cut.
    """
    patch = patch.to(image)
    for part in corners.split(batch_size(image)):
        batch = image.repeat(len(part), 1, 1, 1).contiguous(memory_format=torch.channels_last)
        for copy, (row, column) in zip(batch, part.tolist(), strict=True):
            hidden = copy[
                :, max(row, 0) : max(row + patch.shape[1], 0), max(column, 0) : max(column + patch.shape[2], 0)
            ]
            cut_top, cut_left = max(-row, 0), max(-column, 0)
            hidden.copy_(patch[:, cut_top : cut_top + hidden.shape[1], cut_left : cut_left + hidden.shape[2]])
        yield batch


def batch_size(image: Tensor) -> int:
    """Copies of an image in one pass."""
    pixels = ON_CPU if image.device.type == "cpu" else ON_GPU
    return max(1, pixels // (image.shape[-2] * image.shape[-1]))
