"""Schedules by hand, the moving average against a plain loop, and which weights are decayed."""

import math

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models import build
from perpixel.train.optimise import MovingAverage, learning_rate, make_optimiser
from perpixel.train.recipe import OptimiserPart


def part(**values: object) -> OptimiserPart:
    steps = {"milestones": [0.5, 0.75], "gamma": 0.2} if values.get("schedule") == "step" else {}
    return OptimiserPart(**{"lr": 0.1, "warmup": 0.0, **steps, **values})


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
        ("step", 0, 0.1),
        ("step", 49, 0.1),
        ("step", 50, 0.02),
        ("step", 75, 0.004),
        ("step", 99, 0.004),
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


@pytest.mark.parametrize("schedule", ["poly", "cosine", "one_cycle", "constant", "step"])
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


@pytest.mark.parametrize("milestones", [[], [0.0], [0.5, 1.0], [0.75, 0.5], [0.5, 0.5]])
def test_milestones_are_rising_shares(milestones: list[float]) -> None:
    with pytest.raises(ValueError, match="milestones"):
        part(schedule="step", milestones=milestones)
    with pytest.raises(ValueError, match="milestones go with schedule step"):
        part(schedule="poly", milestones=[0.5])


def step_once(optimiser: torch.optim.Optimizer, model: nn.Module) -> None:
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    for group in optimiser.param_groups:
        group["lr"] = 0.1 * group["factor"]  # as the loop does
    optimiser.step()


def test_everything_can_be_decayed() -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.bias.fill_(3.0)
    optimiser = make_optimiser(model, part(name="sgd", momentum=0, weight_decay=0.5, decay="all"))
    assert len(optimiser.param_groups) == 1
    step_once(optimiser, model)
    torch.testing.assert_close(model.bias, torch.full((2,), 3 - 0.1 * (1 + 0.5 * 3)))


def test_adam_adds_the_decay_to_the_gradient_and_adamw_does_not() -> None:
    """The first step of Adam is lr times the gradient's sign; of AdamW, that and lr * decay * weight."""
    for name, wanted in (("adam", 3.0 - 0.1), ("adamw", 3.0 - 0.1 * 0.5 * 3 - 0.1)):
        model = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            model.weight.fill_(3.0)
        step_once(make_optimiser(model, part(name=name, weight_decay=0.5)), model)
        assert model.weight.item() == pytest.approx(wanted, abs=1e-5), name


class Headed(nn.Module):
    backbone_names = ("backbone",)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
        self.head = nn.Conv2d(1, 1, 1)


def test_rates_of_heads_and_of_biases() -> None:
    """Plain SGD with gradient 1 moves every number by its rate: 0.1, ten times that in the head, twice in a bias."""
    model = Headed()
    before = {k: v.clone() for k, v in model.named_parameters()}
    step_once(make_optimiser(model, part(name="sgd", momentum=0, weight_decay=0, head_lr=10, bias_lr=2)), model)
    moved = {k: (before[k] - v).item() for k, v in model.named_parameters()}
    wanted = {
        "backbone.0.weight": 0.1,
        "backbone.0.bias": 0.2,
        "backbone.1.weight": 0.1,
        "backbone.1.bias": 0.1,  # of a norm: no bias in the papers' sense
        "head.weight": 1.0,
        "head.bias": 2.0,
    }
    assert moved == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["pspnet", "encnet", "segformer", "deeplabv3plus"])
def test_networks_have_a_backbone_and_a_head(name: str) -> None:
    with torch.device("meta"):
        optimiser = make_optimiser(build(name, num_classes=4), part(head_lr=10))
    sizes = {g["factor"]: sum(p.numel() for p in g["params"]) for g in optimiser.param_groups if g["weight_decay"]}
    assert set(sizes) == {1.0, 10.0}
    assert sizes[1.0] > sizes[10.0] or name == "encnet"


def test_the_backbone_is_what_the_network_declares_and_no_name() -> None:
    """A part that only sounds like a backbone is a head, and so is what a declared name merely begins like."""
    model = Headed()
    model.backbone2 = nn.Conv2d(1, 1, 1, bias=False)
    model.head = nn.Sequential()
    model.head.encoder = nn.Conv2d(1, 1, 1, bias=False)
    rates = {
        id(p): group["factor"]
        for group in make_optimiser(model, part(head_lr=10)).param_groups
        for p in group["params"]
    }
    found = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert {name for name, rate in found.items() if rate == 10} == {"backbone2.weight", "head.encoder.weight"}
    assert len(found) == 6


def test_a_network_around_a_network_has_its_backbone() -> None:
    with torch.device("meta"):
        model = build("multi_scale", num_classes=4, network="pspnet")
        optimiser = make_optimiser(model, part(head_lr=10, decay="all"))
    slow, fast = (sum(p.numel() for p in group["params"]) for group in optimiser.param_groups)
    assert slow == 23_631_808  # ResNet-50 without its classifier, with the deep stem
    assert slow + fast == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["unet", None])
def test_no_backbone_no_head(name: str | None) -> None:
    model = build(name, num_classes=2, width=4) if name else nn.Linear(2, 2)
    with pytest.raises(UserError, match="head_lr 10: this network declares no backbone; use 1"):
        make_optimiser(model, part(head_lr=10))
