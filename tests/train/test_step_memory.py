"""What a step is said to take, against what optimisers and averages really keep."""

import pytest
import torch
from torch import nn

from perpixel.models import build
from perpixel.train import Recipe
from perpixel.train.optimise import MovingAverage, make_optimiser
from perpixel.train.recipe import OptimiserPart
from perpixel.train.setup import set_up
from perpixel.train.step_memory import step_memory

CROP = (64, 96)


def kept_by_optimiser(model: nn.Module, how: OptimiserPart) -> int:
    """Bytes of its state after a step."""
    optimiser = make_optimiser(model, how)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimiser.step()
    states = (t for state in optimiser.state.values() for t in state.values() if isinstance(t, torch.Tensor))
    return sum(t.nbytes for t in states)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "muon"])
def test_the_state_of_each_optimiser_is_counted(name: str) -> None:
    model = build("unet", num_classes=3, width=8)
    weights = sum(p.nbytes for p in model.parameters())
    how = {n: OptimiserPart(name=n, ema=None) for n in ("sgd", name)}
    predicted = {n: step_memory(model, one, 1, 3, CROP) for n, one in how.items()}
    assert predicted["sgd"] is not None and predicted[name] is not None
    more = predicted[name] - predicted["sgd"]
    measured = kept_by_optimiser(model, how[name]) - weights  # sgd keeps as much as it trains
    assert more == pytest.approx(measured, abs=0.02 * weights)


def test_the_moving_average_is_counted() -> None:
    model = build("unet", num_classes=3, width=8)
    without, with_average = (step_memory(model, OptimiserPart(ema=ema), 1, 3, CROP) for ema in (None, 0.99))
    assert without is not None and with_average is not None
    assert with_average - without == sum(t.nbytes for t in MovingAverage(model, 0.99).state_dict().values())


def test_two_images_keep_twice_the_maps_of_one() -> None:
    model = build("unet", num_classes=3, width=8)
    one, two, four = (step_memory(model, OptimiserPart(), n, 3, CROP) or 0 for n in (1, 2, 4))
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)  # the peak moves a little
    assert two - one > 100 * CROP[0] * CROP[1]  # bytes: U-Net keeps far more than a map of 25 channels


def test_a_network_that_looks_at_values_has_no_figure() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = nn.Conv2d(3, 2, 1)

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.score(image) if bool(image.mean() > 0) else self.score(-image)}

    assert step_memory(Looks(), OptimiserPart(), 1, 3, CROP) is None


def test_the_line_before_the_first_step(tiny: Recipe) -> None:
    setup = set_up(tiny)
    crop, recipe = setup.recipe.data.crop, setup.recipe
    assert crop is not None
    size = step_memory(setup.model, recipe.optimiser, recipe.batch_size, setup.preprocessing.channels, crop)
    (line,) = [line for line in setup.lines() if line.startswith("model ")]
    assert size is not None and line.endswith(f"parameters; a step takes about {size / 2**20:,.0f} MB in fp32")
