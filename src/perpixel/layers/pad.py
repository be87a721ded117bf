"""Padding of images to a size that a network can take."""

import torch
import torch.nn.functional as F
from torch import Tensor

from perpixel.core import Size


def pad_end(image: Tensor, size: Size) -> Tensor:
    """`(B, C, H, W)` -> `(B, C, *size)`: the last row and column are repeated below and to the right.

    `size` is (H, W), no less than the image's. `result[..., :H, :W]` is the image.

    >>> pad_end(torch.tensor([[[[1.0, 2.0]]]]), (1, 4)).flatten().tolist()
    [1.0, 2.0, 2.0, 2.0]
    """
    height, width = image.shape[-2], image.shape[-1]
    return F.pad(image, (0, size[1] - width, 0, size[0] - height), mode="replicate")


def mirror_pad(image: Tensor, before: Size, size: Size) -> Tensor:
    """`(B, C, H, W)` -> `(B, C, *size)`: the image at offset `before`, (rows, columns), mirrored beyond its border.

    The border pixel itself is not repeated, and the mirror image is mirrored in turn, so that any image, a single pixel
    too, fills any size. PyTorch's own "reflect" stops at one reflection.

    >>> mirror_pad(torch.tensor([[[[1.0, 2.0, 3.0]]]]), (0, 3), (1, 10)).flatten().tolist()
    [2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]
    """
    rows = mirror_index(image.shape[-2], before[0], size[0], image.device)
    columns = mirror_index(image.shape[-1], before[1], size[1], image.device)
    return image[..., rows[:, None], columns]


def mirror_index(length: int, before: int, size: int, device: torch.device) -> Tensor:
    """Which of `length` pixels each of `size` positions sees, the first at position `before`: `(size,)` int64."""
    period = max(2 * length - 2, 1)
    position = torch.arange(-before, size - before, device=device) % period
    return torch.minimum(position, (period - position) % period) if length > 1 else torch.zeros_like(position)


def round_up(length: int, multiple: int) -> int:
    """The least multiple of `multiple` that is `length` or more.

    >>> round_up(33, 32), round_up(32, 32)
    (64, 32)
    """
    return (length + multiple - 1) // multiple * multiple
