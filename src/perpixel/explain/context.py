"""The context curve: how much around a region a network needs to tell its class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from perpixel.core.errors import UserError
from perpixel.core.image import Array

Fill = Literal["mean", "blur"]
ENOUGH = 0.05


class Kept(NamedTuple):
    """One point of the curve.

    radius: pixels kept around the region; inf for the whole image.
    score: in [0, 1], the mean probability of the class over the region.
    iou: of the region with what hangs together with it of the kept pixels that are given the class; other things of the
        class do not count.
    """

    radius: float
    score: float
    iou: float


@dataclass(frozen=True)
class ContextCurve:
    """points: by growing radius, the last with the whole image; fill: what the rest was replaced by; pixels: the region's."""

    points: tuple[Kept, ...]
    fill: str
    pixels: int

    @property
    def used(self) -> float:
        """The smallest radius from which on the score stays within 0.05 of that with the whole image; pixels."""
        final = self.points[-1].score
        far = [n for n, p in enumerate(self.points) if abs(p.score - final) > ENOUGH]
        return self.points[far[-1] + 1 if far else 0].radius


def region_of(labels: Array, at: tuple[int, int]) -> Array:
    """(H, W) bool: the pixels of one label that hang together (over edges) with the pixel (row, column).

    >>> region_of(np.array([[1, 1, 0], [0, 0, 1]]), (0, 1)).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    numbers, _ = ndimage.label(labels == labels[at])
    return np.asarray(numbers == numbers[at])


def touching(mask: Array, region: Array) -> Array:
    """(H, W) bool: of a mask, the parts that hang together over edges and share a pixel with the region."""
    numbers, _ = ndimage.label(mask)
    return np.asarray(mask & np.isin(numbers, np.unique(numbers[region & mask])))


def distance_to(region: Array) -> Array:
    """(H, W) int: rows or columns to the region, the more of the two; 0 inside of it."""
    return np.asarray(ndimage.distance_transform_cdt(~region, metric="chessboard"))


def context_curve(
    probabilities: Callable[[Tensor], Tensor],
    image: Tensor,
    region: Array,
    label: int,
    fill: Fill = "mean",
    radii: Sequence[int] | None = None,
) -> ContextCurve:
    """The class's score and IoU where the region alone is kept with so many pixels around it.

    Args:
        probabilities: `(B, C, H, W)`, normalised, to `(B, K, H, W)`.
        image: `(1, C, H, W)`, normalised.
        region: (H, W) bool, not empty.
        label: the class.
        fill: what the rest is replaced by: "mean", the data's mean colour (0 in a normalised image), or "blur", the image
            through a Gaussian of a sixteenth of its shorter side, which keeps colours and takes things away.
        radii: pixels, growing; None for 0, 1, 2, 4, ... up to what covers the image.

    Raises:
        UserError: another fill, or an empty region.
    """
    if not region.any():
        raise UserError("a context curve needs a region of one pixel or more; this one is empty")
    away = distance_to(region)
    radii = doubling(int(away.max())) if radii is None else radii
    rest, points = filled(image, fill), []
    for radius in (*radii, float("inf")):
        kept = away <= radius
        mixed = torch.where(torch.from_numpy(kept).to(image.device), image, rest)
        with torch.inference_mode():
            found = probabilities(mixed)[0].cpu().numpy()
        given = touching((found.argmax(axis=0) == label) & kept, region)
        iou = np.count_nonzero(given & region) / np.count_nonzero(given | region)
        points.append(Kept(radius, float(found[label][region].mean()), iou))
    return ContextCurve(tuple(points), fill, int(region.sum()))


def doubling(most: int) -> list[int]:
    """Radii below the one that covers all.

    >>> doubling(20)
    [0, 1, 2, 4, 8, 16]
    """
    return [0, *(2**n for n in range(most.bit_length()) if 2**n < most)]


def check_fill(fill: str) -> Fill:
    """Raises UserError for what is no way to replace context."""
    if fill not in get_args(Fill):
        raise UserError(f'context is replaced by "mean" or "blur"; got "{fill}"')
    return cast(Fill, fill)


def filled(image: Tensor, fill: str) -> Tensor:
    """What replaces an image (1, C, H, W)."""
    if check_fill(fill) == "mean":
        return torch.zeros_like(image)
    sigma = max(1.0, min(image.shape[-2:]) / 16)
    reach = min(2 * round(3 * sigma) + 1, 2 * min(image.shape[-2:]) - 1)
    return F.gaussian_blur(image, [reach | 1, reach | 1], [sigma, sigma])
