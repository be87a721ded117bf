"""Schedules by hand, the moving average against a plain loop, and which weights are decayed."""

import math

import pytest
import torch
from torch import nn

from perpixel.models import build
from perpixel.train.optimise import MovingAverage, learning_rate, make_optimiser
from perpixel.train.recipe import OptimiserPart


def part(**values: object) -> OptimiserPart:
    return OptimiserPart(**{"lr": 0.1, "warmup": 0.0, **values})


@pytest.mark.parametrize(
    ("schedule", "step", "wanted"),
    [
        ("constant", 0, 0.1),
        ("constant", 99, 0.1),
        ("poly", 0, 0.1),
        ("poly", 50, 0.1 * 0.5**0.9),
        ("poly", 99, 0.1 * 0.01**0.9),
        ("cosine", 0, 0.1),
        ("cosine", 25, 0.1 * (1 + math.sqrt(0.5)) / 2),
        ("cosine", 50, 0.05),
        ("cosine", 75, 0.1 * (1 - math.sqrt(0.5)) / 2),
        ("one_cycle", 0, 0.004),
        ("one_cycle", 15, 0.052),  # halfway from 0.004 to 0.1
        ("one_cycle", 30, 0.1),
        ("one_cycle", 65, (0.1 + 0.00001) / 2),
        ("one_cycle", 100, 0.00001),
    ],
)
def test_schedules_by_hand(schedule: str, step: int, wanted: float) -> None:
    assert learning_rate(step, 100, part(schedule=schedule)) == pytest.approx(wanted, rel=1e-9)


def test_warm_up_rises_by_equal_steps() -> None:
    how = part(schedule="constant", warmup=0.1)
    rates = [learning_rate(s, 100, how) for s in range(12)]
    assert rates == pytest.approx([0.01 * (i + 1) for i in range(10)] + [0.1, 0.1])
    assert learning_rate(4, 100, part(schedule="poly", power=1, warmup=0.1)) == pytest.approx(0.1 * 0.5 * 0.96)
    assert learning_rate(0, 10, part(schedule="constant", warmup=0.05)) == 0.1  # half a step is none
    assert learning_rate(0, 100, part(schedule="one_cycle", warmup=0.5)) == pytest.approx(0.004)


@pytest.mark.parametrize("schedule", ["poly", "cosine", "one_cycle", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_no_step_stands_still_or_overshoots(schedule: str, steps: int) -> None:
    how = part(schedule=schedule, warmup=0.03)
    assert all(0 < learning_rate(s, steps, how) <= 0.1 + 1e-12 for s in range(steps))


def test_one_cycle_is_pytorchs() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], 0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.1, total_steps=101, pct_start=0.3 + 0.7 / 101, final_div_factor=400, cycle_momentum=False
    )
    for step in range(100):
        ours = learning_rate(step, 100, part(schedule="one_cycle"))
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=0.15), step
        optimiser.step()
        theirs.step()


def test_moving_average_is_a_plain_loop() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    average = MovingAverage(model, 0.5)
    wanted = {k: v.clone() for k, v in model.state_dict().items()}
    assert len(wanted) == 7
    for step in range(20):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
            model(torch.randn(4, 3).double())
        decay = min(0.5, (1 + step) / (10 + step))
        for k, v in model.state_dict().items():
            wanted[k] = wanted[k] * decay + v * (1 - decay) if v.is_floating_point() else v.clone()
        average.update(model, step)
    assert wanted["1.num_batches_tracked"] == 20
    for k, v in average.state_dict().items():
        torch.testing.assert_close(v, wanted[k], rtol=1e-12, atol=1e-12)
    assert not torch.equal(average.state_dict()["0.weight"], model.state_dict()["0.weight"])


def test_moving_average_is_a_copy() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    MovingAverage(model, 0.9).state_dict()["weight"].zero_()
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_vectors_are_not_decayed(name: str, kind: type) -> None:
    model = build("fast_scnn", num_classes=4)
    frozen = next(model.parameters())
    frozen.requires_grad_(False)
    optimiser = make_optimiser(model, part(name=name, weight_decay=0.03, momentum=0.8))
    assert type(optimiser) is kind
    decayed, free = optimiser.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.03, 0.0)
    names = {id(p): n for n, p in model.named_parameters()}
    for group, is_matrix in ((decayed, True), (free, False)):
        assert all((p.ndim > 1) == is_matrix for p in group["params"]), [names[id(p)] for p in group["params"]]
    assert len(decayed["params"]) + len(free["params"]) == len(names) - 1
    assert id(frozen) not in {id(p) for g in optimiser.param_groups for p in g["params"]}
    if name == "sgd":
        assert decayed["momentum"] == 0.8


def test_decay_moves_matrices_only() -> None:
    """One AdamW step with a zero gradient: w - lr * decay * w for the matrix, nothing for the bias."""
    model = nn.Linear(2, 2)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimiser = make_optimiser(model, part(weight_decay=0.5))
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    torch.testing.assert_close(model.weight, weight * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, bias)
