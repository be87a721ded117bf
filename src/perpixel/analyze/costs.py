"""What a network costs: its parameters, its multiply-adds, and how coarse the map is on which it decides.

Nothing is computed: on PyTorch's "meta" device tensors have shapes and no values, so that the largest network is counted
in about a second and no memory.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its deformable convolution with torch.ops)
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from perpixel.analyze.dry_run import blank, dry_run
from perpixel.core import Size


@dataclass(frozen=True)
class Cost:
    """What one image through a network in eval takes.

    parameters: every trainable or fixed weight, each once; running statistics of batch norms are none.
    multiply_adds: of convolutions, transposed convolutions, linear layers and products of matrices, so attention too;
        norms, activations, poolings, resizes and the bilinear sampling of deformable convolutions are left out, as in
        the papers. "FLOPs" are twice as many.
    """

    parameters: int
    multiply_adds: int


def cost(model: nn.Module, size: Size, in_channels: int = 3) -> Cost:
    """The cost of one image.

    Args:
        model: on any device; it is left as it is.
        size: (H, W) of the image.
        in_channels: of the image.

    Raises:
        UserError: the network decides by the values of its maps, which have none here.

    >>> cost(nn.Conv2d(3, 8, 3, padding=1, bias=False), (10, 20))  # 8 x 3 x 3 x 3 weights, each used 200 times
    Cost(parameters=216, multiply_adds=43200)
    """
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.torchvision.deform_conv2d: deformable_flops})
    with counter:
        dry_run(model, blank(model, size, in_channels))
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)


def output_stride(model: nn.Module, num_classes: int, size: Size = (512, 512), in_channels: int = 3) -> int | None:
    """How many image pixels a side belong to one place of the map on which scores are computed, before any upsampling
    that is not learnt: 32 for FCN-32s, 1 for SegNet. None for a network without a layer of `num_classes` channels.

    Two sizes are compared where one does not divide the other, so that borders which a network adds do not count.
    """
    length = _score_length(model, num_classes, size, in_channels)
    if length is None or size[0] % length == 0:
        return length and size[0] // length
    longer = _score_length(model, num_classes, (2 * size[0], 2 * size[1]), in_channels)
    assert longer is not None
    return round(size[0] / (longer - length))


def _score_length(model: nn.Module, num_classes: int, size: Size, in_channels: int) -> int | None:
    """The rows of what the last trainable layer with `num_classes` outputs gives."""
    lengths: list[int] = []

    def look(layer: nn.Module, _: Any, output: Tensor) -> None:
        lengths.append(output.shape[-2])

    scores = [m for m in model.modules() if _gives_scores(m, num_classes)]
    handles = [m.register_forward_hook(look) for m in scores]
    try:
        dry_run(model, blank(model, size, in_channels))
    finally:
        for handle in handles:
            handle.remove()
    return lengths[-1] if lengths else None


def _gives_scores(layer: nn.Module, num_classes: int) -> bool:
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return False
    return layer.out_channels == num_classes and layer.weight.requires_grad


def deformable_flops(x: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """2 x B x outputs x h x w x (inputs a group x kernel): a convolution's, wherever its taps are."""
    channels, per_group, height, width = weight
    return 2 * out_shape[0] * channels * out_shape[2] * out_shape[3] * per_group * height * width
