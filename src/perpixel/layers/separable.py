"""Depthwise separable convolution with a batch norm behind each of its two steps."""

from collections import OrderedDict

from torch import nn

from perpixel.layers.norm import BatchNorm2d


def separable_conv(
    in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1, eps: float, act: bool
) -> nn.Sequential:
    """3x3 in each channel alone, batch norm, 1x1 across channels, batch norm; with `act`, ReLU behind both norms.

    `(B, in, H, W)` -> `(B, out, ceil(H / stride), ceil(W / stride))`; zero padding; stride and dilation are those of
    the 3x3. No biases: the norms would make them useless. `eps` is that of both norms.

    Source: Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018, section 3.1.

    >>> sum(p.numel() for p in separable_conv(8, 16, eps=1e-5, act=True).parameters())  # 72 + 16 + 128 + 32
    248
    """
    depthwise = nn.Conv2d(
        in_channels, in_channels, 3, stride, padding=dilation, dilation=dilation, groups=in_channels, bias=False
    )
    pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, conv in (("depthwise", depthwise), ("pointwise", pointwise)):
        parts[name] = conv
        parts[f"{name}_norm"] = BatchNorm2d(conv.out_channels, eps=eps, momentum=0.1)
        if act:
            parts[f"{name}_act"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)
