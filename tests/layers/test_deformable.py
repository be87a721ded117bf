"""Deformable convolution against the plain one, a loop, and arithmetic."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.deformable import DeformableConv2d, bilinear_at, make_deformable


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("offset_groups", [1, 4])
@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2, "bias": False},
        {"padding": (2, 4), "dilation": (2, 4), "groups": 2},
        {"padding": 4, "dilation": 4, "stride": (2, 3), "groups": 8},
        {"padding": "same", "dilation": 3},
        {"padding": "valid"},
        {"padding": 0, "offset_dilation": 1},
        {"padding": 3, "dilation": 2, "offset_dilation": 2},
        {"padding": 2, "dilation": 2, "stride": 2, "offset_dilation": 2},
    ],
    ids=str,
)
def test_it_starts_as_the_plain_convolution(options: dict[str, Any], offset_groups: int) -> None:
    offset_dilation = options.get("offset_dilation", 1)
    conv = nn.Conv2d(8, 16, 3, **{key: value for key, value in options.items() if key != "offset_dilation"})
    layer = DeformableConv2d(conv, offset_groups, offset_dilation)
    assert layer.weight is conv.weight and layer.bias is conv.bias
    assert layer.offset.dilation == (offset_dilation, offset_dilation)
    assert layer.offset.out_channels == 18 * offset_groups
    for size in ((17, 20), (9, 9)):
        x = images(2, 8, *size).float()
        torch.testing.assert_close(layer(x), conv(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("offset_groups", [1, 2])
def test_moved_points_give_what_a_loop_gives(offset_groups: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 2, 3, padding=2, dilation=2, stride=2, dtype=torch.float64)
    layer, x = DeformableConv2d(conv, offset_groups), images(1, 4, 9, 7)
    nn.init.normal_(layer.offset.weight, std=0.3)
    assert layer.bias is not None
    found, offset = layer(x)[0], layer.offset(x)[0]
    assert offset.abs().max() > 1.5
    for o, row, column in itertools.product(range(2), range(found.shape[1]), range(found.shape[2])):
        total = layer.bias[o].item()
        for c, tap in itertools.product(range(4), range(9)):
            group = c * offset_groups // 4
            down, right = offset[18 * group + 2 * tap : 18 * group + 2 * tap + 2, row, column].tolist()
            y, z = 2 * row - 2 + 2 * (tap // 3) + down, 2 * column - 2 + 2 * (tap % 3) + right
            total += layer.weight[o, c, tap // 3, tap % 3].item() * sampled(x[0, c], y, z)
        assert found[o, row, column].item() == pytest.approx(total)


def sampled(values: Tensor, row: float, column: float) -> float:
    """Bilinear; zero outside."""
    total = 0.0
    for r, c in itertools.product((math.floor(row), math.floor(row) + 1), (math.floor(column), math.floor(column) + 1)):
        if 0 <= r < values.shape[0] and 0 <= c < values.shape[1]:
            total += (1 - abs(row - r)) * (1 - abs(column - c)) * values[r, c].item()
    return total


def test_offsets_learn_from_the_start() -> None:
    layer = DeformableConv2d(nn.Conv2d(3, 4, 3, padding=1))
    layer(images(1, 3, 12, 12).float()).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.parameters())
    assert len(list(layer.parameters())) == 4


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_under_autocast_it_samples_in_fp32(half: torch.dtype) -> None:
    layer, x = DeformableConv2d(nn.Conv2d(8, 8, 3, padding=1)), images(1, 8, 16, 16).float()
    nn.init.normal_(layer.offset.weight, std=0.1)
    with torch.autocast("cpu", dtype=half):
        found = layer(x)
        assert found.dtype == half
        assert layer(x.to(half)).dtype == half
    torch.testing.assert_close(found.float(), layer(x), atol=0.1, rtol=0.1)
    found.sum().backward()
    assert layer.to(half)(x.to(half)).dtype == half


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (3, 2)])
def test_points_without_offsets_are_the_dilated_grid(stride: int, dilation: int) -> None:
    layer = DeformableConv2d(nn.Conv2d(1, 1, 3, stride, padding=dilation, dilation=dilation))
    found = layer.points_read(torch.zeros(18, 9, 9), torch.tensor([[4.0, 5.0]]))
    steps = (-dilation, 0, dilation)
    assert found.tolist() == [[[4.0 * stride + down, 5.0 * stride + right] for down in steps for right in steps]]


def test_points_are_what_the_operator_reads() -> None:
    """With weights of 1, an output's gradient is bilinear weights around its points: 9 in all, their centre the mean."""
    layer = DeformableConv2d(nn.Conv2d(1, 1, 3, padding=2, dilation=2, bias=False))
    nn.init.ones_(layer.weight)
    offset = 2 * images(1, 18, 24, 24)
    layer.offset.forward = lambda _: offset  # type: ignore[method-assign, assignment]
    x = images(1, 1, 24, 24).float().requires_grad_()
    (gradient,) = torch.autograd.grad(layer.double()(x.double())[0, 0, 11, 13], x)
    points = layer.points_read(offset[0], torch.tensor([[11.0, 13.0]], dtype=torch.float64))[0]
    places = torch.stack(torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij"))
    mean = (gradient[0] * places).sum((1, 2)) / gradient.sum()
    assert gradient.sum().item() == pytest.approx(9, abs=1e-5)
    torch.testing.assert_close(mean.double(), points.mean(0), atol=1e-5, rtol=0)
    near = (places.flatten(1).T[:, None] - points).abs().amax(2).amin(1) < 1
    assert set(gradient.flatten().nonzero().flatten().tolist()) == set(near.nonzero().flatten().tolist())


def test_bilinear_at_is_interpolation_and_stops_at_the_border() -> None:
    values = torch.tensor([[[0.0, 2.0, 4.0], [10.0, 12.0, 14.0]]])
    where = torch.tensor([[0.5, 0.5], [1.0, 2.0], [0.25, 1.5], [-3.0, 9.0], [7.0, -1.0]])
    assert bilinear_at(values, where).flatten().tolist() == [6.0, 14.0, 5.5, 4.0, 10.0]


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2))
    )


def test_a_networks_convolutions_are_replaced() -> None:
    model, x = network(), images(2, 3, 16, 16).float()
    weights, expected = dict(model.state_dict()), model(x)
    layers = make_deformable(model, ["0", "2.0"], offset_groups=1)
    assert [model[0], model[2][0]] == layers
    torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-5)
    keys = ["weight", "bias", "offset.weight", "offset.bias"]
    assert list(model.state_dict()) == [f"{name}.{key}" for name in ("0", "2.0") for key in keys]
    assert model.load_state_dict(weights, strict=False).unexpected_keys == []


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["0", "2.O"], {}, 'The network has no module "2.O". Did you mean "2.0"?'),
        ([""], {}, 'The network has no module "".'),
        (["0", "1"], {}, "1 must be a 3x3 convolution; it is a ReLU"),
        (["2.0"], {"offset_groups": 3}, "2.0: offset_groups must divide the 8 channels; got 3"),
        (["0"], {"offset_dilation": 0}, "offset_dilation must be 1 or more; got 0"),
    ],
)
def test_what_cannot_be_replaced_is_said_and_nothing_is(
    names: list[str], options: dict[str, int], message: str
) -> None:
    model = network()
    with pytest.raises(UserError) as error:
        make_deformable(model, names, **options)
    assert message in str(error.value)
    assert not any(isinstance(part, DeformableConv2d) for part in model.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 1}, "3 x 3 convolution padded with zeros; got 1 x 1"),
        ({"kernel_size": 3, "padding_mode": "reflect"}, 'padding "reflect"'),
        ({"kernel_size": 3, "dilation": 4, "padding": 2}, "offset_dilation must be 2 or more; got 1"),
    ],
)
def test_other_convolutions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DeformableConv2d(nn.Conv2d(4, 4, **options))
