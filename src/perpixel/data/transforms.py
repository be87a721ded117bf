"""Joint transforms: image and mask move together, the mask by nearest neighbour only.

`augment` is a pure function of its arguments: the random generator that it is given decides everything. The crop is cut out
of the source before it is resized, so that no pixel is computed that is thrown away.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from perpixel.core import IGNORE, Size
from perpixel.core.image import Array

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
    image, labels = _random_crop(image, labels, how, rng)
    if how.flip and rng.random() < 0.5:
        image, labels = image.flip(-1), labels.flip(-1)
    if how.flip_vertical and rng.random() < 0.5:
        image, labels = image.flip(-2), labels.flip(-2)
    if how.rotate:
        image, labels = _rotate(image, labels, float(rng.uniform(-how.rotate, how.rotate)))
    if how.elastic:
        image, labels = _elastic(image, labels, how.elastic, rng)
    if how.jitter:
        image = _jitter(image, how.jitter, rng)
    return image, labels


def _random_crop(image: Tensor, labels: Tensor, how: Augmentation, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    scale = float(np.exp(rng.uniform(np.log(how.scale[0]), np.log(how.scale[1]))))
    (height, width), (h, w) = labels.shape, how.crop
    # the part of the source that fills the crop, at least one pixel and at most all of it
    full_h, full_w = max(round(h / scale), 1), max(round(w / scale), 1)
    box_h, box_w = min(full_h, height), min(full_w, width)
    for _ in range(10):
        top, left = int(rng.integers(height - box_h + 1)), int(rng.integers(width - box_w + 1))
        if (
            how.max_class_share >= 1
            or _largest_share(labels[top : top + box_h, left : left + box_w]) <= how.max_class_share
        ):
            break
    size = [
        h if box_h == full_h else min(h, max(1, round(box_h * scale))),
        w if box_w == full_w else min(w, max(1, round(box_w * scale))),
    ]
    image = F.resized_crop(image, top, left, box_h, box_w, size, BILINEAR, antialias=True)
    labels = F.resized_crop(labels[None], top, left, box_h, box_w, size, NEAREST)[0]
    return _pad(image, labels, how.crop, rng)


def _pad(image: Tensor, labels: Tensor, size: Size, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Puts a smaller view at a random place of a canvas of 0 (image) and 255 (labels)."""
    free_h, free_w = size[0] - labels.shape[0], size[1] - labels.shape[1]
    if not free_h and not free_w:
        return image, labels
    top, left = int(rng.integers(free_h + 1)), int(rng.integers(free_w + 1))
    padding = [left, top, free_w - left, free_h - top]
    return F.pad(image, padding, fill=0), F.pad(labels[None], padding, fill=IGNORE)[0]


def _largest_share(labels: Tensor) -> float:
    """The share of the most frequent class among the labelled pixels, on every 4th row and column."""
    counts = torch.bincount(labels[::4, ::4].reshape(-1), minlength=256)[:IGNORE]
    return float(counts.max() / counts.sum().clamp(min=1))


def _rotate(image: Tensor, labels: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    turned = F.rotate(image, angle, BILINEAR, fill=0.0)
    return turned, F.rotate(labels[None], angle, InterpolationMode.NEAREST, fill=float(IGNORE))[0]


def _elastic(image: Tensor, labels: Tensor, sd: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Ronneberger 2015: random displacements on a 3x3 grid, interpolated bicubically to every pixel."""
    h, w = labels.shape
    grid = torch.from_numpy(rng.normal(0.0, sd, (1, 2, 3, 3)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(grid, (h, w), mode="bicubic", align_corners=True)
    displacement = smooth.permute(0, 2, 3, 1) * torch.tensor([2.0 / w, 2.0 / h])  # pixels to the unit of grid_sample
    moved = F.elastic(image, displacement, BILINEAR, fill=0.0)
    return moved, F.elastic(labels[None], displacement, InterpolationMode.NEAREST, fill=float(IGNORE))[0]


def _jitter(image: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    if image.dtype != torch.uint8:  # floats have no fixed range to clamp to
        mean = torch.from_numpy(image.numpy().mean(axis=(-2, -1), keepdims=True))  # torch's sum depends on the threads
        return ((image - mean) * float(contrast) + mean) * float(brightness)
    return _jitter_bytes(image, float(brightness), float(contrast), float(saturation))


def _jitter_bytes(image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Brightness and contrast in one look-up a channel, then saturation; all in the range of bytes."""
    mean = float(image[..., ::4, ::4].numpy().mean())  # torch's sum depends on the number of threads
    levels = torch.arange(256, dtype=torch.float32)
    table = (((levels - mean) * contrast + mean) * brightness).clamp_(0, 255).round_().to(torch.uint8)
    image = torch.from_numpy(table.numpy()[image.numpy()])
    return F.adjust_saturation(image, saturation) if image.shape[0] == 3 else image


def to_tensor(image: Array) -> Tensor:
    """(H, W, C) as (C, H, W): uint8 stays uint8, uint16 becomes float32 in [0, 1], float32 stays as stored."""
    if image.dtype == np.uint16:
        image = image.astype(np.float32) / 65535.0
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))  # a copy: decoders give read-only memory


def resize_short_side(image: Tensor, labels: Tensor | None, short_side: int) -> tuple[Tensor, Tensor | None]:
    """Resizes so that the shorter side is `short_side` pixels (bilinear with antialias, labels by nearest).

    A thin image is enlarged to 64 squares of that side at most, so that one of 1x100000 pixels does not fill the memory.
    """
    height, width = image.shape[-2:]
    most = (max(64 * short_side**2, height * width) / (height * width)) ** 0.5
    factor = min(short_side / min(height, width), most)
    size = [max(1, round(height * factor)), max(1, round(width * factor))]
    if size == [height, width]:
        return image, labels
    resized = F.resize(image, size, BILINEAR, antialias=True)
    return resized, None if labels is None else F.resize(labels[None], size, NEAREST)[0]
