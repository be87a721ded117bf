"""Multi-scale input: one network sees the image at several scales, and its answers are fused at every pixel.

Chen, Yang, Wang, Xu, Yuille, "Attention to Scale: Scale-Aware Semantic Image Segmentation", CVPR 2016, arXiv:1511.03339.

    image B,C,H,W
      ├──────── resize by 0.5 ──── network ─ resize ── scores B,K,H,W ──┐
      ├──────── resize by 0.75 ─── network ─ resize ── scores B,K,H,W ──┤ S of them
      └─────────────────────────── network ─────────── scores B,K,H,W ──┤
            (the same weights)                                          ├── mean over 8x8
                                                                        │     │ B,S*K,H/8,W/8
                                                                        │   3x3 512 ─ ReLU ─ 1x1
                                                                        │     │ B,S,H/8,W/8
                                                                        │   resize ─ softmax over scales
                                                                       (*) ── │ B,S,H,W
                                                                        │
                                                                  sum over scales ─ logits B,K,H,W

The other two ways of fusing have no weights: the average of the scores, and their maximum class by class.

Differs from the paper:
- Attention looks at the score maps of all scales, averaged over 8x8 pixels; the paper's looks at the features of fc7. So
  any network can be wrapped, whatever it has inside.
- The network is any of this catalog; the paper's is DeepLab-LargeFOV on VGG-16.
- Fusion is at the image's size, behind each network's own upsampling; the paper fuses at stride 8 and upsamples last.
- Attention's last layer starts at zero, so that training starts from the average.
- With `aux`, the scores of each scale are supervised at the image's size, and each counts `loss.aux_weight`, 0.4 unless
  set; the paper shrinks the labels to each scale, and counts every loss 1.
- For torch.export the smallest size, times the smallest scale, must be one from which the network itself exports.
- In training, batch norms see each scale apart, and their running statistics move once for each scale.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.core.errors import UserError, nearest
from perpixel.layers.init import kaiming_init
from perpixel.layers.resize import resize

Fusion = Literal["average", "maximum", "attention"]
SCALES = (0.5, 0.75, 1.0)
CELL = 8
"""Attention looks at averages over as many rows and columns: the stride of the paper's score maps."""


class MultiScale(nn.Module):
    """The network around a network. `forward` takes `(B, C, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`. With `aux=True`, `"aux"` is a list of the same shape: the scores of each
    scale. What `network` itself has of `"aux"` joins that list, once for each scale, and of its `"presence"` the mean
    over scales is returned.

    `network` is any model of this package for `num_classes` classes. Options: `scales` of the image's sides, rounded up
    to whole pixels; `fusion`, "average", "maximum" or "attention"; `attention_channels`, of attention's hidden layer,
    512 in the paper. Raises `UserError` for scales that are not numbers above 0, and for another fusion.
    """

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        scales: Sequence[float] = SCALES,
        fusion: Fusion = "attention",
        aux: bool = False,
        attention_channels: int = 512,
    ) -> None:
        super().__init__()
        if fusion not in get_args(Fusion):
            hint = nearest(str(fusion), get_args(Fusion))
            raise UserError(f'multi_scale: fusion must be one of {", ".join(get_args(Fusion))}; got "{fusion}".{hint}')
        self.network = network
        self.backbone_names = tuple(f"network.{part}" for part in getattr(network, "backbone_names", ()))
        self.ratios = [ratio(scale) for scale in listed(scales)]
        self.fusion, self.aux = fusion, aux
        self.attention = Attention(len(self.ratios), num_classes, attention_channels) if fusion == "attention" else None

    def forward(self, image: Tensor) -> dict[str, Tensor | list[Tensor]]:
        size = (image.shape[-2], image.shape[-1])
        outputs = [self.network(resized(image, scaled(size, ratio))) for ratio in self.ratios]
        scores = torch.stack([resized(output["logits"], size) for output in outputs], dim=1)  # B,S,K,H,W
        result: dict[str, Tensor | list[Tensor]] = {"logits": self.fuse(scores)}  # B,K,H,W
        auxiliary = [*scores.unbind(dim=1)] if self.aux else []
        auxiliary += [resized(aux, size) for output in outputs for aux in tensors(output.get("aux", []))]
        if auxiliary:
            result["aux"] = auxiliary  # each B,K,H,W
        if "presence" in outputs[0]:
            result["presence"] = torch.stack([output["presence"] for output in outputs]).mean(dim=0)  # B,K
        return result

    def fuse(self, scores: Tensor) -> Tensor:
        """Scores of S scales, `(B, S, K, H, W)` -> `(B, K, H, W)`."""
        if self.attention is not None:
            return (self.attention(scores)[:, :, None] * scores).sum(dim=1)
        return scores.amax(dim=1) if self.fusion == "maximum" else scores.mean(dim=1)


class Attention(nn.Module):
    """How much each scale counts at each pixel: `(B, S, K, H, W)` -> `(B, S, H, W)`, a sum of one over the S scales."""

    def __init__(self, scales: int, num_classes: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(scales * num_classes, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.score = nn.Conv2d(channels, scales, 1)
        kaiming_init(self)
        nn.init.zeros_(self.score.weight)

    def forward(self, scores: Tensor) -> Tensor:
        cells = F.avg_pool2d(scores.flatten(1, 2), CELL, CELL, ceil_mode=True)  # B,S*K,~H/8,~W/8
        importance = self.score(self.relu(self.conv(cells)))  # B,S,~H/8,~W/8
        return resized(importance, (scores.shape[-2], scores.shape[-1])).softmax(dim=1)


def multi_scale_with(build: Callable[..., nn.Module]) -> Callable[..., MultiScale]:
    """What builds `MultiScale` around a network by its name; `build` makes that network, as `perpixel.build` does."""

    def multi_scale(
        num_classes: int,
        in_channels: int = 3,
        network: str = "fast_scnn",
        network_options: Mapping[str, Any] | None = None,
        scales: Sequence[float] = SCALES,
        fusion: Fusion = "attention",
        aux: bool = False,
        attention_channels: int = 512,
    ) -> MultiScale:
        """`MultiScale`, which says what the options are, around a network of the catalog with its own `network_options`."""
        inner = build(network, num_classes, in_channels, **named(network_options))
        return MultiScale(inner, num_classes, scales, fusion, aux, attention_channels)

    return multi_scale


def named(options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The inner network's options; a `UserError` if they are not names with values."""
    if not isinstance(options or {}, Mapping):
        raise UserError(
            f"multi_scale: network_options must be names with values, such as {{aux: true}}; got {options!r}"
        )
    return options or {}


def listed(scales: Sequence[float]) -> Sequence[float]:
    """`scales` if they are one or more numbers above 0; a `UserError` if not."""
    fine = isinstance(scales, Sequence) and not isinstance(scales, str) and len(scales) > 0
    if not fine or not all(type(s) in (int, float) and 0 < s < math.inf for s in scales):
        raise UserError(f"multi_scale: scales must be numbers above 0, such as [0.5, 0.75, 1.0]; got {scales!r}")
    return scales


def ratio(scale: float) -> tuple[int, int]:
    """A scale as a fraction, so that sizes are whole-number arithmetic, which torch.export can follow.

    >>> ratio(0.75), ratio(1 / 3)
    ((3, 4), (1, 3))
    """
    fraction = Fraction(scale).limit_denominator(1000)
    return max(fraction.numerator, 1), fraction.denominator


def scaled(size: Size, ratio: tuple[int, int]) -> Size:
    """The size times the ratio, rounded up: never nothing.

    >>> scaled((360, 1), (3, 4))
    (270, 1)
    """
    above, below = ratio
    return (size[0] * above + below - 1) // below, (size[1] * above + below - 1) // below


def resized(x: Tensor, size: Size) -> Tensor:
    """`(B, C, h, w)` -> `(B, C, *size)`, bilinear; `x` itself where it has that size."""
    return x if (x.shape[-2], x.shape[-1]) == size else resize(x, size, align_corners=False)


def tensors(value: Tensor | list[Tensor]) -> list[Tensor]:
    """A tensor or a list of them as a list."""
    return [value] if isinstance(value, Tensor) else value
