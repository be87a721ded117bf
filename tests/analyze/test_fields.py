"""Receptive fields as papers publish them, and of single layers by hand."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.analyze import Field, receptive_fields
from perpixel.core.errors import UserError
from perpixel.layers.context import ContextModule
from perpixel.models import build


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def alexnet() -> nn.Sequential:
    """The convolutions and poolings of Krizhevsky et al. 2012, as Zhou et al. 2015 took their table from; ReLUs change
    nothing, and channels are fewer."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 4, 11, stride=4),
        "pool1": nn.MaxPool2d(3, 2),
        "conv2": nn.Conv2d(4, 4, 5, padding=2, groups=2),
        "pool2": nn.MaxPool2d(3, 2),
        "conv3": nn.Conv2d(4, 4, 3, padding=1),
        "conv4": nn.Conv2d(4, 4, 3, padding=1, groups=2),
        "conv5": nn.Conv2d(4, 4, 3, padding=1, groups=2),
        "pool5": nn.MaxPool2d(3, 2),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def test_the_table_of_alexnet() -> None:
    fields = receptive_fields(alexnet())
    published = {"pool1": 19, "pool2": 67, "conv3": 99, "conv4": 131, "pool5": 195}
    assert {name: fields[name].size for name in published} == {name: (s, s) for name, s in published.items()}
    assert fields["pool5"].stride == (32, 32)


def test_the_context_module_as_its_paper_says() -> None:
    fields = receptive_fields(ContextModule(2), in_channels=2)
    sizes = [fields[f"convs.{i}"].size[0] for i in range(7)] + [fields["project"].size[0]]
    assert sizes == [3, 5, 9, 17, 33, 65, 67, 67]


def test_the_scores_of_fcn32s() -> None:
    with torch.device("meta"):
        fields = receptive_fields(build("fcn32s", num_classes=21))
    assert fields["score_fr"].size == (404, 404)
    assert fields["score_fr"].stride == (32, 32)
    assert fields["logits"].stride == (1, 1)
    assert list(fields)[-1] == "logits"


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (nn.Conv2d(3, 1, (3, 5), padding=(1, 0)), Field((3, 5), (1, 1), (0, 2))),
        (nn.Conv2d(3, 1, (1, 3), dilation=(1, 4), stride=(2, 3)), Field((1, 9), (2, 3), (0, 4))),
        (nn.ConvTranspose2d(3, 1, 2, stride=2), Field((1, 1), (0.5, 0.5), (-0.25, -0.25))),
        (nn.ConvTranspose2d(3, 1, 4, stride=2, padding=1), Field((2, 2), (0.5, 0.5), (-0.25, -0.25))),
        (nn.Upsample(scale_factor=2, mode="nearest"), Field((1, 1), (0.5, 0.5), (-0.25, -0.25))),
        (nn.Upsample(scale_factor=2, mode="bilinear"), Field((2, 2), (0.5, 0.5), (-0.25, -0.25))),
        (nn.ReflectionPad2d((2, 0, 1, 0)), Field((1, 1), (1, 1), (-1, -2))),
        (nn.PixelUnshuffle(2), Field((2, 2), (2, 2), (0.5, 0.5))),
        (Function(lambda x: x + F.avg_pool2d(x, 3, 1, 1).roll(2, 3)), Field((3, 4), (1, 1), (0, -1.5))),
        (Function(lambda x: torch.cat([x[..., 1:], F.pad(x, (2, 0))[..., :-3]], 1)), Field((1, 4), (1, 1), (0, -0.5))),
    ],
)
def test_single_layers_by_hand(layer: nn.Module, wanted: Field) -> None:
    assert receptive_fields(layer)[""] == wanted


@pytest.mark.parametrize(
    ("layer", "size", "word"),
    [
        (nn.AdaptiveAvgPool2d(1), (math.inf, math.inf), "global: mean"),
        (nn.InstanceNorm2d(3), (math.inf, math.inf), "global: instance norm"),
        (nn.GroupNorm(1, 3), (math.inf, math.inf), "global: group norm"),
        (Function(lambda x: x - x.mean(3, keepdim=True)), (1, math.inf), "global: mean"),
        (Function(lambda x: x.cumsum(2)), (math.inf, 1), ""),
        (
            Function(lambda x: F.adaptive_avg_pool2d(x, 4)),
            (math.inf, math.inf),
            "grows with the image: adaptive_avg_pool2d",
        ),
    ],
)
def test_what_sees_everything_says_why(layer: nn.Module, size: tuple[float, float], word: str) -> None:
    field = receptive_fields(nn.Sequential(layer))["0"]
    assert field.size == size
    assert word in field.note


def test_batch_norms_see_the_batch_in_training_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    assert receptive_fields(model)["1"].size == (3, 3)
    field = receptive_fields(model, in_eval=False)["1"]
    assert field.size == (math.inf, math.inf)
    assert field.note == "global: batch norm by the statistics of the whole batch (1)"
    assert model.training and model[1].num_batches_tracked == 0


@torch.library.custom_op("perpixel_tests::moved", mutates_args=())
def moved(x: Tensor, places: int) -> Tensor:
    """An operator of which perpixel knows nothing."""
    return x.roll(places, 3) + 0


@moved.register_fake
def _(x: Tensor, places: int) -> Tensor:
    return torch.empty_like(x)


def test_what_is_not_known_is_named_and_tried() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Function(lambda x: moved(x, 5)), nn.Conv2d(4, 4, 3, padding=1))
    fields = receptive_fields(model)
    assert fields["0"].note == ""
    assert fields["2"].size == (5, 5)
    assert fields["2"].offset == (0, -5)
    assert "found by trying, on 256 x 256 pixels" in fields["2"].note
    assert "perpixel_tests::moved (1)" in fields["2"].note
    with torch.device("meta"):  # nothing can be tried without values
        bare = nn.Sequential(nn.Conv2d(3, 4, 3), model[1])
    assert receptive_fields(bare)["1"].size == (math.inf, math.inf)
    assert "taken to read everything: perpixel_tests::moved (1)" in receptive_fields(bare)["1"].note


class ByValue(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3) if x.sum().item() < 1e9 else x


def test_a_network_that_looks_at_values_is_followed_on_an_image() -> None:
    field = receptive_fields(ByValue(), size=(32, 48))[""]
    assert field == Field((3, 3), (3, 3), (1, 1), "decisions followed as one random image made them")


def test_the_model_is_left_as_it_is() -> None:
    model = alexnet().train()
    model[1].eval()
    receptive_fields(model)
    assert model.training and not model[1].training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_size_that_does_not_go_is_said() -> None:
    with pytest.raises(UserError, match="cannot run"):
        receptive_fields(nn.Conv2d(3, 1, 7), size=(4, 4))
