"""Deformable convolution: the input itself says where each output looks."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from perpixel.core.errors import UserError, nearest


class DeformableConv2d(nn.Module):
    """A 3x3 convolution whose nine sampling points move by learned offsets. Sizes are those of the plain convolution.

        x ─┬─ 3x3 `offset` ─ (rows, columns) for each of 9 points, 18 * offset_groups channels ─┐
           └──────────────────── x at the moved points, bilinear, 0 outside, times weight ──────┴─ + bias ─ y

    y(p) = sum over n of w(n) x(p + p(n) + offset(n, p)). The offsets start at zero, so that the layer starts as the plain
    convolution.

    It is made of the convolution that it replaces, and takes over its `weight` and `bias`, under the same names, its
    stride, padding, dilation and groups. `offset_groups` parts of the channels have offsets of their own.
    `offset_dilation` is that of the convolution that finds the offsets, which has the stride of the layer, and the
    padding that gives as many offsets as outputs. The authors have 1 in DeepLab, and the layer's own in detectors.

    Under autocast the sampling computes in fp32, because the operator has no half precision on CPUs; the offsets come
    from an ordinary convolution, and the result has its type.

    Raises `UserError` for a convolution that is not 3x3 and padded with zeros, for groups that do not divide the
    channels, and where no padding gives as many offsets as outputs.

    Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017, section 2.1.

    >>> layer = DeformableConv2d(nn.Conv2d(8, 16, 3, padding=2, dilation=2))
    >>> layer(torch.randn(1, 8, 32, 32)).shape, layer.offset.out_channels
    (torch.Size([1, 16, 32, 32]), 18)
    """

    def __init__(self, conv: nn.Conv2d, offset_groups: int = 1, offset_dilation: int = 1) -> None:
        super().__init__()
        self.stride, self.dilation, self.padding = pair(conv.stride), pair(conv.dilation), zero_padding(conv)
        if offset_groups < 1 or conv.in_channels % offset_groups:
            raise UserError(f"offset_groups must divide the {conv.in_channels} channels; got {offset_groups}")
        lacking = tuple(d - p for p, d in zip(self.padding, self.dilation, strict=True))
        if offset_dilation < max(1, *lacking):
            raise UserError(
                f"With padding {self.padding} and dilation {self.dilation}, offset_dilation must be "
                f"{max(1, *lacking)} or more; got {offset_dilation}"
            )
        margin = pair(tuple(offset_dilation - lack for lack in lacking))
        self.weight, self.bias = conv.weight, conv.bias
        self.offset = nn.Conv2d(
            conv.in_channels, 18 * offset_groups, 3, self.stride, margin, offset_dilation,
            device=conv.weight.device, dtype=conv.weight.dtype,
        )  # fmt: skip
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        offset = self.offset(x)
        kind = torch.promote_types(self.weight.dtype, torch.float32)
        bias = None if self.bias is None else self.bias.to(kind)
        found = deform_conv2d(
            x.to(kind), offset.to(kind), self.weight.to(kind), bias, self.stride, self.padding, self.dilation
        )
        return found.to(offset.dtype)

    def points_read(self, offset: Tensor, units: Tensor) -> Tensor:
        """Where the input is read for some outputs: `(N, 2)` -> `(N, 9 * offset_groups, 2)`, all (row, column).

        `units` are positions on the output, `offset` what the layer of that name gave for one image, `(18 *
        offset_groups, h, w)`. A unit between four others has the mean of their offsets, weighed as bilinear sampling
        weighs them; one outside the map has those of the nearest.

        >>> layer = DeformableConv2d(nn.Conv2d(1, 1, 3, padding=2, dilation=2))
        >>> layer.points_read(torch.zeros(18, 8, 8), torch.tensor([[4.0, 5.0]]))[0, :4].tolist()
        [[2.0, 3.0], [2.0, 5.0], [2.0, 7.0], [4.0, 3.0]]
        """
        stride, padding, dilation = (units.new_tensor(v) for v in (self.stride, self.padding, self.dilation))
        steps = torch.cartesian_prod(torch.arange(3), torch.arange(3)).to(units)
        grid = units[:, None] * stride - padding + steps * dilation  # N,9,2
        moves = bilinear_at(offset.to(units), units).unflatten(1, (-1, 9, 2))  # N,offset_groups,9,2
        return (grid[:, None] + moves).flatten(1, 2)


def make_deformable(
    model: nn.Module, names: Iterable[str], offset_groups: int = 1, offset_dilation: int = 1
) -> list[DeformableConv2d]:
    """Replace convolutions of a network, in place, by deformable ones that start equal to them; returns these.

    `names` are those of `model.named_modules()`. Weights stay the same parameters under the same keys; each layer
    has two keys more, `offset.weight` and `offset.bias`. Call it after the network's weights are initialised, which
    would overwrite the zeros.

    Raises `UserError` for an unknown name, and for a module that is no 3x3 convolution; then nothing is replaced.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    >>> [type(layer).__name__ for layer in make_deformable(model, ["0"])], type(model[0]).__name__
    (['DeformableConv2d'], 'DeformableConv2d')
    """
    modules = {name: part for name, part in model.named_modules(remove_duplicate=False) if name}
    found = {}
    for name in names:
        if name not in modules:
            raise UserError(f'The network has no module "{name}".{nearest(name, modules)}')
        conv = modules[name]
        if not isinstance(conv, nn.Conv2d):
            raise UserError(f"{name} must be a 3x3 convolution; it is a {type(conv).__name__}")
        try:
            found[name] = DeformableConv2d(conv, offset_groups, offset_dilation)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    for name, layer in found.items():
        model.set_submodule(name, layer)
    return list(found.values())


def zero_padding(conv: nn.Conv2d) -> tuple[int, int]:
    """The rows and columns of zeros around the input of a 3x3 convolution; raises `UserError` for any other."""
    if conv.kernel_size != (3, 3) or conv.padding_mode != "zeros":
        size = " x ".join(map(str, conv.kernel_size))
        raise UserError(f'must be a 3 x 3 convolution padded with zeros; got {size}, padding "{conv.padding_mode}"')
    if isinstance(conv.padding, str):
        return pair(conv.dilation if conv.padding == "same" else (0, 0))
    return pair(conv.padding)


def pair(values: tuple[int, ...]) -> tuple[int, int]:
    """The same two numbers, as a type checker wants to see them."""
    rows, columns = values
    return rows, columns


def bilinear_at(values: Tensor, positions: Tensor) -> Tensor:
    """`(C, h, w)` at `(N, 2)` positions, (row, column) and fractional -> `(N, C)`; outside, the nearest value.

    >>> bilinear_at(torch.tensor([[[0.0, 4.0]]]), torch.tensor([[0.0, 0.25], [0.0, 7.0]])).tolist()
    [[1.0], [4.0]]
    """
    last = positions.new_tensor(values.shape[1:]) - 1
    places = positions.clamp(min=torch.zeros_like(last), max=last)
    low = places.floor()
    (row, column), (down, right) = low.long().unbind(1), torch.minimum(low + 1, last).long().unbind(1)
    part, share = (places - low).unbind(1)
    above = values[:, row, column] * (1 - share) + values[:, row, right] * share
    below = values[:, down, column] * (1 - share) + values[:, down, right] * share
    return (above * (1 - part) + below * part).T
