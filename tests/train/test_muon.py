"""Muon against PyTorch's own, its orthogonal matrices against the singular value decomposition, its vectors against AdamW."""

import pytest
import torch
from torch import nn

from perpixel.models import build
from perpixel.train.muon import Muon, is_matrix, orthogonal
from perpixel.train.optimise import make_optimiser
from perpixel.train.recipe import OptimiserPart


@pytest.mark.parametrize("shape", [(5, 5), (4, 30), (30, 4)])
def test_orthogonal_keeps_singular_vectors_and_moves_singular_values_as_the_polynomial_says(
    shape: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e3]).view(3, 1, 1)
    u, values, vt = torch.linalg.svd(matrices, full_matrices=False)
    values = values / values.square().sum(dim=1, keepdim=True).sqrt()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    assert torch.allclose(orthogonal(matrices), u * values[:, None] @ vt, atol=1e-8)
    assert values.min() > 0.4 and values.max() < 1.3


def two_alike() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(1)
    made = [nn.Linear(12, 7, bias=False) for _ in range(2)]
    made[1].load_state_dict(made[0].state_dict())
    return made[0], made[1]


def descend(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int, shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(2)
    for _ in range(steps):
        x = torch.randn(shape, generator=random)
        optimiser.zero_grad()
        (model(x).sin() - x.mean()).square().mean().backward()
        optimiser.step()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has Muon since 2.9")
def test_a_linear_layer_moves_as_by_pytorchs_muon() -> None:
    ours, theirs = two_alike()
    before = ours.weight.detach().clone()
    settings = {"lr": 0.02, "weight_decay": 0.1}
    descend(ours, Muon(ours.parameters(), **settings), 6, (32, 12))
    reference = torch.optim.Muon(theirs.parameters(), momentum=0.95, adjust_lr_fn="match_rms_adamw", **settings)
    descend(theirs, reference, 6, (32, 12))
    moved = (theirs.weight - before).norm()
    assert (ours.weight - theirs.weight).norm() < 0.03 * moved  # theirs computes in bf16


def test_a_convolution_is_a_matrix_of_its_filters() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 8, 2, bias=False), nn.Linear(12, 8, bias=False)
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1))
    x = torch.randn(5, 3, 2, 2)
    for layer, given in ((conv, x), (linear, x.flatten(1))):
        optimiser = Muon(layer.parameters(), 0.1)
        for _ in range(3):
            layer(given).square().sum().backward()
            optimiser.step()
            layer.zero_grad()
    assert torch.allclose(conv.weight.flatten(1), linear.weight, atol=1e-6)


def test_vectors_and_depthwise_filters_move_as_by_adamw() -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4))
    theirs = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4))
    theirs.load_state_dict(ours.state_dict())
    descend(ours, Muon(ours.parameters(), 0.02, weight_decay=0.1, vector_lr=0.5), 5, (2, 4, 6, 6))
    descend(theirs, torch.optim.AdamW(theirs.parameters(), 0.01, (0.9, 0.99), weight_decay=0.1), 5, (2, 4, 6, 6))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_resumed_run_goes_on_as_it_was() -> None:
    torch.manual_seed(0)
    straight, broken = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
    broken.load_state_dict(straight.state_dict())
    x = torch.randn(2, 3, 8, 8)

    def steps(model: nn.Module, optimiser: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimiser.zero_grad()
            model(x).sin().sum().backward()
            optimiser.step()

    steps(straight, Muon(straight.parameters(), 0.05), 4)
    first = Muon(broken.parameters(), 0.05)
    steps(broken, first, 2)
    again = Muon(broken.parameters(), 0.05)
    again.load_state_dict(first.state_dict())
    steps(broken, again, 2)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), broken.parameters(), strict=True))


def test_a_recipe_gives_it() -> None:
    model = build("fast_scnn", num_classes=3)
    optimiser = make_optimiser(model, OptimiserPart(name="muon", lr=0.01, weight_decay=0.02))
    assert isinstance(optimiser, Muon)
    decays = {g["weight_decay"] for g in optimiser.param_groups for p in g["params"] if is_matrix(p)}
    assert decays == {0.02}
    assert not any(is_matrix(p) for g in optimiser.param_groups if not g["weight_decay"] for p in g["params"])
