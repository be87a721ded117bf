"""Rotation, elastic deformation and colour jitter: how each is drawn, and how it is done to an image and its labels."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from perpixel.core import IGNORE, Size

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


def draw_displacement(size: Size, sd: float, rng: np.random.Generator) -> Tensor:
    """Ronneberger 2015: random displacements on a 3x3 grid, interpolated bicubically to every pixel."""
    grid = torch.from_numpy(rng.normal(0.0, sd, (1, 2, 3, 3)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(grid, size, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def draw_jitter(strength: float, rng: np.random.Generator) -> tuple[float, float, float]:
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    return float(brightness), float(contrast), float(saturation)


def rotate(image: Tensor, labels: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    turned = F.rotate(image, angle, BILINEAR, fill=0.0)
    return turned, F.rotate(labels[None], angle, NEAREST, fill=float(IGNORE))[0]


def elastic(image: Tensor, labels: Tensor, displacement: Tensor) -> tuple[Tensor, Tensor]:
    h, w = labels.shape
    displacement = displacement * torch.tensor([2.0 / w, 2.0 / h])  # pixels to the unit of grid_sample
    moved = F.elastic(image, displacement, BILINEAR, fill=0.0)
    return moved, F.elastic(labels[None], displacement, NEAREST, fill=float(IGNORE))[0]


def jitter(image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    if image.dtype != torch.uint8:  # floats have no fixed range to clamp to
        mean = torch.from_numpy(image.numpy().mean(axis=(-2, -1), keepdims=True))  # torch's sum depends on the threads
        return ((image - mean) * contrast + mean) * brightness
    return _jitter_bytes(image, brightness, contrast, saturation)


def _jitter_bytes(image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Brightness and contrast in one look-up a channel, then saturation; all in the range of bytes."""
    mean = float(image[..., ::4, ::4].numpy().mean())  # torch's sum depends on the number of threads
    levels = torch.arange(256, dtype=torch.float32)
    table = (((levels - mean) * contrast + mean) * brightness).clamp_(0, 255).round_().to(torch.uint8)
    image = torch.from_numpy(table.numpy()[image.numpy()])
    return F.adjust_saturation(image, saturation) if image.shape[0] == 3 else image
