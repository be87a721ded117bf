"""Joint transforms: image and mask move together, the mask by nearest neighbour only.

`augment` is a pure function of its arguments: the random generator that it is given decides everything. All is drawn
first, as a `View`, so that what else belongs to a sample, such as boxes, can move with it. The crop is cut out of the
source before it is resized, so that no pixel is computed that is thrown away.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from perpixel.core import IGNORE, Size
from perpixel.data.distortions import draw_displacement, draw_jitter, elastic, jitter, rotate

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST_EXACT


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for every training sample.

    Args:
        crop: (H, W) of the result.
        scale: range of the factor on the image's size, drawn log-uniformly.
        max_class_share: a crop in which one class has more than this share of the labelled pixels is drawn again, up to
            10 times (1 turns it off).
        flip: mirror left and right with probability 1/2.
        flip_vertical: mirror top and bottom with probability 1/2, for images with no "up".
        rotate: degrees; the angle is uniform in [-rotate, rotate].
        jitter: strength in [0, 1) of brightness, contrast and (RGB) saturation changes, factors 1-jitter to 1+jitter.
        elastic: standard deviation in pixels of U-Net's elastic deformation (3x3 grid, bicubic); 0 is off, the paper has 10.
    """

    crop: Size
    scale: tuple[float, float] = (0.5, 2.0)
    max_class_share: float = 0.75
    flip: bool = True
    flip_vertical: bool = False
    rotate: float = 0.0
    jitter: float = 0.3
    elastic: float = 0.0


@dataclass(frozen=True)
class View:
    """What was drawn for one sample, in the order in which it is done.

    Args:
        box: the part of the source that is taken, (top, left, height, width).
        size: (H, W) that it is resized to.
        place: (top, left) of its place on the canvas of 0 (image) and 255 (labels).
        canvas: (H, W) of the result.
        flip, flip_vertical: whether it is mirrored left and right, then top and bottom.
        angle: degrees that it is turned by, counterclockwise, around the middle.
        displacement: (1, H, W, 2) pixels, columns then rows, from a place of the result to where it is read; or None.
        jitter: factors of brightness, contrast and saturation, or None.
    """

    box: tuple[int, int, int, int]
    size: Size
    place: tuple[int, int]
    canvas: Size
    flip: bool = False
    flip_vertical: bool = False
    angle: float = 0.0
    displacement: Tensor | None = None
    jitter: tuple[float, float, float] | None = None


def augment(image: Tensor, labels: Tensor, how: Augmentation, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One random view of a sample.

    Args:
        image: (C, H, W) uint8, or float32.
        labels: (H, W) uint8.
        how: the ranges.
        rng: decides everything.

    Returns:
        image (C, h, w) of the same dtype and labels (h, w) uint8, h and w those of `how.crop`; what lies
        outside of the source is 0 in the image and 255 in the labels.
    """
    return apply_view(image, labels, draw_view(labels, how, rng))


def draw_view(labels: Tensor, how: Augmentation, rng: np.random.Generator) -> View:
    """What `augment` does to a sample with these labels (H, W)."""
    box, size = _draw_crop(labels, how, rng)
    return View(
        box,
        size,
        _draw_place((how.crop[0] - size[0], how.crop[1] - size[1]), rng),
        how.crop,
        flip=how.flip and rng.random() < 0.5,
        flip_vertical=how.flip_vertical and rng.random() < 0.5,
        angle=float(rng.uniform(-how.rotate, how.rotate)) if how.rotate else 0.0,
        displacement=draw_displacement(how.crop, how.elastic, rng) if how.elastic else None,
        jitter=draw_jitter(how.jitter, rng) if how.jitter else None,
    )


def apply_view(image: Tensor, labels: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Image (C, H, W) and labels (H, W) as `view` has them, see `augment`."""
    image = F.resized_crop(image, *view.box, list(view.size), BILINEAR, antialias=True)
    labels = F.resized_crop(labels[None], *view.box, list(view.size), NEAREST)[0]
    image, labels = _pad(image, labels, view)
    if view.flip:
        image, labels = image.flip(-1), labels.flip(-1)
    if view.flip_vertical:
        image, labels = image.flip(-2), labels.flip(-2)
    if view.angle:
        image, labels = rotate(image, labels, view.angle)
    if view.displacement is not None:
        image, labels = elastic(image, labels, view.displacement)
    if view.jitter:
        image = jitter(image, *view.jitter)
    return image, labels


def _draw_crop(labels: Tensor, how: Augmentation, rng: np.random.Generator) -> tuple[tuple[int, int, int, int], Size]:
    """The part of the source that fills the crop, at least one pixel and at most all of it, and its size there."""
    scale = float(np.exp(rng.uniform(np.log(how.scale[0]), np.log(how.scale[1]))))
    (height, width), (h, w) = labels.shape, how.crop
    full_h, full_w = max(round(h / scale), 1), max(round(w / scale), 1)
    box_h, box_w = min(full_h, height), min(full_w, width)
    for _ in range(10):
        top, left = int(rng.integers(height - box_h + 1)), int(rng.integers(width - box_w + 1))
        if (
            how.max_class_share >= 1
            or _largest_share(labels[top : top + box_h, left : left + box_w]) <= how.max_class_share
        ):
            break
    size = (
        h if box_h == full_h else min(h, max(1, round(box_h * scale))),
        w if box_w == full_w else min(w, max(1, round(box_w * scale))),
    )
    return (top, left, box_h, box_w), size


def _draw_place(free: Size, rng: np.random.Generator) -> tuple[int, int]:
    """Where a view lies on a canvas that has so many rows and columns more."""
    return (int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))) if any(free) else (0, 0)


def _pad(image: Tensor, labels: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Puts a smaller view at its place of a canvas of 0 (image) and 255 (labels)."""
    if view.size == view.canvas:
        return image, labels
    top, left = view.place
    padding = [left, top, view.canvas[1] - view.size[1] - left, view.canvas[0] - view.size[0] - top]
    return F.pad(image, padding, fill=0), F.pad(labels[None], padding, fill=IGNORE)[0]


def _largest_share(labels: Tensor) -> float:
    """The share of the most frequent class among the labelled pixels, on every 4th row and column."""
    counts = torch.bincount(labels[::4, ::4].reshape(-1), minlength=256)[:IGNORE]
    return float(counts.max() / counts.sum().clamp(min=1))
