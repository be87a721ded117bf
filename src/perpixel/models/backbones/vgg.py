"""The convolutions of VGG-16, in the five stages that its poolings part.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, arXiv:1409.1556
(configuration D). The poolings are left to the network: FCN takes their maxima, SegNet and DeconvNet also where
these stood.
"""

from collections import OrderedDict

from torch import nn

from perpixel.layers.norm import BatchNorm2d

STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
"""For each stage: its 3x3 convolutions, and its channels in multiples of the first stage's 64."""


def vgg16_stages(
    in_channels: int, *, width: int = 64, norm_eps: float | None = None, first_padding: int = 1
) -> nn.ModuleList:
    """Five stages of 3x3 convolutions with biases and ReLU: `(B, in, h, w)` -> `(B, out, h, w)`, 64 to 512 channels.

    `width` is the channels of the first stage; `norm_eps` puts a batch norm of that epsilon behind each convolution,
    its shift starting at 0.001; `first_padding` is the zeros around the image, more than 1 of which enlarge the map.
    Parts are named conv1_1, norm1_1, relu1_1 and so on.

    >>> [sum(p.numel() for p in stage.parameters()) for stage in vgg16_stages(3)]
    [38720, 221440, 1475328, 5899776, 7079424]
    """
    stages = nn.ModuleList()
    for level, (count, multiple) in enumerate(STAGES, start=1):
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(1, count + 1):
            padding = first_padding if (level, i) == (1, 1) else 1
            parts[f"conv{level}_{i}"] = nn.Conv2d(in_channels, multiple * width, 3, padding=padding)
            if norm_eps is not None:
                parts[f"norm{level}_{i}"] = shifted_norm(multiple * width, norm_eps)
            parts[f"relu{level}_{i}"] = nn.ReLU(inplace=True)
            in_channels = multiple * width
        stages.append(nn.Sequential(parts))
    return stages


def shifted_norm(channels: int, eps: float) -> BatchNorm2d:
    """Batch norm as in the Caffe of DeconvNet and SegNet: scales start at 1, shifts at 0.001."""
    norm = BatchNorm2d(channels, eps=eps, momentum=0.1)
    nn.init.constant_(norm.bias, 0.001)
    return norm
