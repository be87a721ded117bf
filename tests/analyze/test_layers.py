"""What layers cost adds up to what the network costs, which is held against the authors' code elsewhere; one by hand."""

import pytest
import torch
from torch import nn

from perpixel.analyze import cost, layer_costs
from perpixel.analyze.layers import LayerCost
from perpixel.models import build

NAMES = ("unet", "segnet", "enet", "deformable_deeplab", "segformer", "encnet", "decouplednet", "hrnet_w18_small_v1")


@pytest.mark.parametrize("name", NAMES)
def test_layers_add_up(name: str) -> None:
    with torch.device("meta"):
        model = build(name, num_classes=5)
    layers, whole = layer_costs(model, (64, 96)), cost(model, (64, 96))
    assert sum(layer.parameters for layer in layers) == whole.parameters
    assert sum(layer.multiply_adds for layer in layers) == whole.multiply_adds
    assert len({layer.name for layer in layers}) == len(layers) > 10


def test_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(2), nn.Linear(20, 7))
    found = layer_costs(model.eval(), (8, 10))
    assert found == [
        LayerCost("0", "Conv2d", 4 * 27 + 4, 4 * 27 * 80, (1, 4, 8, 10), 0),  # the ReLU keeps its result alone
        LayerCost("1", "ReLU", 0, 0, (1, 4, 8, 10), 4 * 4 * 80),
        LayerCost(
            "2", "MaxPool2d", 0, 0, (1, 4, 4, 5), (4 + 8) * 4 * 20
        ),  # for the weights of "4", and int64 positions
        LayerCost("4", "Linear", 20 * 7 + 7, 20 * 7 * 4, (1, 4, 7), 0),
    ]
