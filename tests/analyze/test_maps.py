"""Maps are those that the layers give, read while the network runs; names that are wrong are said."""

import pytest
import torch
from torch import Tensor, nn

from perpixel.analyze.maps import Maps, main_layers, map_shapes
from perpixel.core.errors import UserError
from perpixel.models import build


class InPlace(nn.Module):
    """A convolution whose map the next layer overwrites, and a layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.again = nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 1)
        self.runs = 0

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.act(self.first(image))
        x = self.again(self.again(x))
        self.runs += 1
        return {"logits": x}


def test_a_map_is_read_before_the_next_layer_overwrites_it() -> None:
    torch.manual_seed(0)
    model, image = InPlace().eval(), torch.randn(2, 1, 6, 7)
    read = Maps(model, ["first"], lambda _, values: values.clone())
    for _ in range(2):
        torch.testing.assert_close(read(image)["first"], model.first(image))
    assert (model.first(image) < 0).any()


def test_a_pass_ends_with_the_last_layer_that_is_wanted() -> None:
    model, image = InPlace().eval(), torch.randn(1, 1, 6, 7)
    read = Maps(model, ["first", "again"], lambda _, values: values.clone())
    first, second = read(image), read(image)
    assert model.runs == 1, "the second pass never reaches the end of forward"
    twice = model.again(model.again(model.first(image).relu()))
    for found in (first, second):
        torch.testing.assert_close(found["again"], twice)


def test_logits_are_those_of_the_networks_dict() -> None:
    model, image = InPlace().eval(), torch.randn(1, 1, 6, 7)
    torch.testing.assert_close(Maps(model, ["logits"], lambda _, v: v.clone())(image)["logits"], model(image)["logits"])


def test_no_hook_is_left() -> None:
    model = InPlace().eval()
    Maps(model, ["first"], lambda _, v: v.clone())(torch.randn(1, 1, 6, 7))
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize(
    ("name", "said"), [("frist", 'Did you mean "first"'), ("zzz", "It has first, act, again, logits"), ("", "no layer")]
)
def test_a_layer_that_is_not_there(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Maps(InPlace(), [name], lambda _, v: v)


def test_a_layer_without_a_map() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match='layer "2" gives no map'):
        Maps(model, ["2"], lambda _, v: v)(torch.randn(1, 1, 4, 4))


def test_shapes_are_those_of_the_paper() -> None:
    """ENet on 512 x 512 (its table 1): 16 x 256 x 256, then 64 x 128 x 128, then 128 x 64 x 64."""
    shapes = map_shapes(build("enet", num_classes=5).eval(), torch.randn(1, 3, 512, 512))
    assert shapes["encoder.initial"] == (16, 256, 256)
    assert shapes["encoder.stage1"] == (64, 128, 128)
    assert shapes["encoder.stage2"] == (128, 64, 64)
    assert list(shapes)[-1] == "logits"


@pytest.mark.parametrize("name", ["enet", "fast_scnn", "hrnet_w18", "segformer", "drn_c_26"])
def test_main_layers_are_few_and_give_maps_in_order(name: str) -> None:
    model, image = build(name, num_classes=5).eval(), torch.randn(1, 3, 64, 96)
    found, order = main_layers(model, image), list(map_shapes(model, image))
    assert 4 <= len(found) <= 8
    assert found[-1] == "logits"
    assert [order.index(layer) for layer in found] == sorted(order.index(layer) for layer in found)
