"""Images as tensors, and their size where it is given by the shorter side."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from perpixel.core.image import Array


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
    resized = F.resize(image, size, InterpolationMode.BILINEAR, antialias=True)
    return resized, None if labels is None else F.resize(labels[None], size, InterpolationMode.NEAREST_EXACT)[0]
