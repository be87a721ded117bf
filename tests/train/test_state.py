"""One step of learning, by hand, and that a state comes back whole."""

from pathlib import Path

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.train import Recipe
from perpixel.train.devices import make_accelerator
from perpixel.train.state import State

SGD = {"optimiser": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": None, "ema": None}}


def state(**changes: object) -> State:
    """Of y = w x with w = 2, on the CPU in fp32."""
    recipe = Recipe().changed({**SGD, "precision": "fp32", "channels_last": False, **changes})
    line = nn.Linear(1, 1, bias=False)
    nn.init.constant_(line.weight, 2.0)
    return State(line, recipe, make_accelerator(recipe, Path()))


def step(s: State, inputs: list[float], parts: int, lr: float = 0.1) -> float:
    left = iter(inputs)
    return s.step(lambda: (s.forward(torch.tensor([[next(left)]])) ** 2).sum(), parts, lr, 0)


def test_the_mean_gradient_of_the_parts_is_followed() -> None:
    """d/dw (w x)^2 = 2 w x^2: 4 at x = 1 and 36 at x = 3, so 20 on the mean; w = 2 - 0.1 x 20 = 0."""
    s = state()
    assert step(s, [1.0, 3.0], parts=2) == pytest.approx((4 + 36) / 2)
    assert s.network.weight.item() == pytest.approx(0.0, abs=1e-6)


def test_two_of_four_are_one_of_eight() -> None:
    """Accumulated batches give what one batch of all their samples gives, where a loss is a mean."""
    torch.manual_seed(0)
    images = torch.randn(8, 1)
    found = []
    for parts in (1, 2):
        s = state(**{"optimiser.clip_norm": 0.5})
        batches = iter(images.chunk(parts))
        s.step(lambda b=batches, s=s: (s.forward(next(b)) ** 2).mean(), parts, 0.3, 0)
        found.append(s.network.weight.item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] == pytest.approx(2 - 0.3 * 0.5, rel=1e-4)  # the gradient is long, and clipped to 0.5


def test_the_average_follows_and_is_what_is_kept() -> None:
    """The decay of update 0 is min(0.9, 1 / 10): 0.1 x 2 + 0.9 x 0."""
    s = state(**{"optimiser.ema": 0.9})
    step(s, [1.0, 3.0], parts=2)
    assert s.weights["weight"].item() == pytest.approx(0.2, abs=1e-6)
    assert state().average is None


def test_restored_it_goes_on_as_it_would_have() -> None:
    changes = {"optimiser": {"name": "adamw", "ema": 0.9}}
    s = state(**changes)
    step(s, [1.0], 1)
    kept = {k: v.clone() for k, v in s.tensors().items()}
    step(s, [2.0], 1)
    other = state(**changes)
    other.restore(kept)
    step(other, [2.0], 1)
    ours, theirs = other.tensors(), s.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert {k.split(".")[0] for k in ours} == {"model", "average", "optimiser", "random"}


def test_another_networks_tensors_are_refused_with_the_reason() -> None:
    s = state()
    tensors = {**s.tensors(), "model.weight": torch.zeros(2, 2)}
    with pytest.raises(UserError, match=r"another network than recipe.yaml says .*weight") as caught:
        s.restore(tensors)
    assert "\n" not in str(caught.value)
