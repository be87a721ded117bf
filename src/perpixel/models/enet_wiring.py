"""What implementations of ENet do differently, by name, and the parts of a bottleneck that hang on it.

branch of a bottleneck, C/4 channels inside

authors     1x1  norm act   3x3            norm act   1x1  norm
                            1x5 5x1
davidtvs    1x1  norm act   3x3            norm act   1x1  norm act    (no act behind it where it upsamples)
                            5x1 norm act 1x5
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from perpixel.layers.norm import BatchNorm2d

Middle = int | Literal["asymmetric"]
"""What stands in the middle of a bottleneck: a 3x3 convolution of this dilation, or a long and a tall one of five."""
Act = Callable[[int], nn.Module]
"""What makes an activation for so many channels."""


@dataclass(frozen=True)
class Wiring:
    """How an ENet is put together; the defaults are the authors'.

    Args:
        pool: the window of the initial block's max pooling, of stride 2.
        inner_of_input: where a bottleneck changes the size, its inner channels are a quarter of what it takes, not of what
            it gives out.
        bias: the initial convolution, the last one in each middle and the scores have a bias.
        slopes: a PReLU has a slope for each channel, not one for all.
        act_expanded: an activation stands behind the last batch norm of a branch too, but where it upsamples.
        act_upsampled: and there.
        asymmetric_norm: 5x1 comes before 1x5, and a batch norm and an activation stand between them.
        up_kernel, score_kernel: of the transposed convolutions, of stride 2, in the middle of a bottleneck and at the end.
        decoder_dropout: the probability of whole channels in the decoder.
        eps: of the batch norms.
    """

    pool: int = 2
    inner_of_input: bool = False
    bias: bool = True
    slopes: bool = True
    act_expanded: bool = False
    act_upsampled: bool = False
    asymmetric_norm: bool = False
    up_kernel: int = 3
    score_kernel: int = 2
    decoder_dropout: float = 0.0
    eps: float = 1e-3

    def inner(self, in_channels: int, out_channels: int) -> int:
        """The inner channels of a bottleneck that changes the size."""
        return (in_channels if self.inner_of_input else out_channels) // 4

    def norm(self, channels: int) -> BatchNorm2d:
        return BatchNorm2d(channels, eps=self.eps, momentum=0.1)

    def prelu(self, channels: int) -> nn.Module:
        return nn.PReLU(channels if self.slopes else 1)


AUTHORS = Wiring()
DAVIDTVS = Wiring(
    pool=3,
    inner_of_input=True,
    bias=False,
    slopes=False,
    act_expanded=True,
    asymmetric_norm=True,
    up_kernel=2,
    score_kernel=3,
    decoder_dropout=0.1,
    eps=1e-5,
)
WIRINGS: dict[str, Wiring] = {
    "authors": AUTHORS,
    "davidtvs": DAVIDTVS,
    "davidtvs-2019": replace(DAVIDTVS, act_upsampled=True),
}
"""Name -> wiring: the authors' Torch code, and davidtvs/PyTorch-ENet since March 2021 and before."""


def branch(
    reduce: nn.Conv2d, middle: list[nn.Module], out_channels: int, act: Act, wiring: Wiring, act_behind: bool
) -> nn.Sequential:
    """Reduction, the convolutions in the middle, 1x1 expansion; batch norms, and an activation behind the first two.

    With `act_behind` one stands behind the third too.
    """
    inner, norm = reduce.out_channels, wiring.norm
    expand = nn.Conv2d(inner, out_channels, 1, bias=False)
    parts = [reduce, norm(inner), act(inner), *middle, norm(inner), act(inner), expand, norm(out_channels)]
    return nn.Sequential(*parts, *([act(out_channels)] if act_behind else []))


def middle_convs(middle: Middle, channels: int, act: Act, wiring: Wiring) -> list[nn.Module]:
    """The convolutions in the middle of a bottleneck. Only the last has a bias, if any has."""
    if middle != "asymmetric":
        return [nn.Conv2d(channels, channels, 3, padding=middle, dilation=middle, bias=wiring.bias)]
    if wiring.asymmetric_norm:
        between = [wiring.norm(channels), act(channels)]
        return [five_tall(channels, bias=False), *between, five_wide(channels, wiring.bias)]
    return [five_wide(channels, bias=False), five_tall(channels, wiring.bias)]


def five_wide(channels: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, (1, 5), padding=(0, 2), bias=bias)


def five_tall(channels: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, (5, 1), padding=(2, 0), bias=bias)


def upsampling(in_channels: int, out_channels: int, kernel: int, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size, of a kernel of 2 or 3."""
    padding = kernel - 2
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel, stride=2, padding=padding, output_padding=padding, bias=bias
    )


def relu(channels: int) -> nn.Module:
    """What the decoder has where the encoder has a PReLU of so many channels."""
    return nn.ReLU(inplace=True)
