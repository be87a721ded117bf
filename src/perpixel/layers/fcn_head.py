"""The small head that dilated networks put on a map."""

from torch import nn

from perpixel.layers.conv import conv_norm_act


def fcn_head(in_channels: int, channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """`(B, in_channels, h, w)` -> `(B, K, h, w)`: 3x3 convolution with batch norm and ReLU, dropout, 1x1 convolution.

    >>> [type(part).__name__ for part in fcn_head(8, 2, 5, dropout=0.1)]
    ['Sequential', 'Dropout', 'Conv2d']
    """
    return nn.Sequential(
        conv_norm_act(in_channels, channels, 3), nn.Dropout(dropout), nn.Conv2d(channels, num_classes, 1)
    )
