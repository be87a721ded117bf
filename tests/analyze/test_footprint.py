"""Fields by trying, against those by hand; weights of both signs, ReLUs and maxima must hide nothing."""

import pytest
import torch
from torch import Tensor, nn

from perpixel.analyze import Footprint, footprint
from perpixel.core.errors import UserError


def test_by_hand() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, (1, 3), dilation=2, padding=(0, 2))
    )
    assert footprint(model, "0", unit=(10, 20)) == Footprint(9, 11, 19, 21)
    assert footprint(model, "2", unit=(10, 20)) == Footprint(19, 22, 39, 42)
    assert footprint(model, "3", unit=(10, 20)) == Footprint(19, 22, 35, 46)
    assert footprint(model, "", size=(32, 32)) == Footprint(15, 18, 11, 22)  # (8, 8) is the middle
    assert footprint(model, "3", unit=(0, 0), size=(16, 16)) == Footprint(0, 2, 0, 6)


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan")


def test_a_unit_that_sees_nothing() -> None:
    assert footprint(Nothing(), "", size=(8, 8)) is None


def test_wrong_questions() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    with pytest.raises(UserError, match='no map "O"'):
        footprint(model, "O", size=(8, 8))
    with pytest.raises(UserError, match=r"map of 8 x 8; got \(8, 0\)"):
        footprint(model, "0", unit=(8, 0), size=(8, 8))
    with pytest.raises(UserError, match="NaN without any help"):
        footprint(Broken(), "", size=(8, 8))


def test_the_model_is_left_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    footprint(model, "1", size=(16, 16))
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model[0].weight.dtype == torch.float32
