"""Bilinear upsampling as a transposed convolution with fixed weights."""

from torch import Tensor, nn

from perpixel.layers.init import bilinear_kernel


class FixedUpsample(nn.Module):
    """`(B, C, H, W)` -> `(B, C, s * H, s * W)` for a stride s: every channel alone, by a bilinear kernel of 2s x 2s.

    The weights, `C * 4 * s * s`, are parameters that take no gradient: the authors' models hold and count them. Inside,
    it equals bilinear resizing with `align_corners=False`. In the outer s / 2 pixels it fades towards zero, since what
    lies beyond the map counts as zero there. `stride` must be even, else `ValueError`.

    Source: Long et al., "Fully Convolutional Networks", CVPR 2015, section 3.3; one kernel a channel, as in DRN and
    Dilation10.

    >>> import torch
    >>> FixedUpsample(1, 2)(torch.tensor([[[[1.0, 5.0]]]]))[0, 0, 0].tolist()
    [0.5625, 1.5, 3.0, 2.8125]
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        if stride % 2:
            raise ValueError(f"the stride of a fixed bilinear upsampling must be even; got {stride}")
        self.conv = nn.ConvTranspose2d(
            channels, channels, 2 * stride, stride, padding=stride // 2, groups=channels, bias=False
        )
        self.conv.weight.requires_grad_(False)
        self.conv.weight.copy_(bilinear_kernel(2 * stride).expand_as(self.conv.weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
