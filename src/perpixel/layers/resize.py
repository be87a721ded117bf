"""Bilinear resizing to an explicit size."""

import torch.nn.functional as F
from torch import Tensor

from perpixel.core import Size


def resize(x: Tensor, size: Size, *, align_corners: bool) -> Tensor:
    """Bilinear resize of `(B, C, h, w)` to `(B, C, *size)`; `size` is (H, W), never a scale factor.

    A scale factor loses pixels wherever a stride did not divide the size, so sizes are always said. Of the two
    conventions, `align_corners=False` treats pixels as areas: the one of PIL, OpenCV and TensorFlow 2.

    >>> import torch
    >>> resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4), align_corners=False).flatten().tolist()
    [0.0, 0.25, 0.75, 1.0]
    >>> resize(torch.tensor([[[[0.0, 3.0]]]]), (1, 4), align_corners=True).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
