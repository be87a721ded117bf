"""Every network trains at batch 1."""

import math
import sys
from pathlib import Path

import pytest
import torch

from perpixel.losses import build_loss
from perpixel.models import MODELS, build

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # the tests are no package
from cases import CASES

SMALL = {case.name: case.small for case in CASES if case.small is not None}


def test_every_kind_of_network_has_a_small_one() -> None:
    """Variants of one file (drn_c_26, drn_d_22) may share theirs."""
    assert {name.split("_")[0] for name in SMALL} == {name.split("_")[0] for name in MODELS}
    assert len(SMALL) >= 15


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_network_trains_at_batch_1(name: str) -> None:
    """One image whose deepest map is a single pixel: a finite loss and a gradient for every weight."""
    torch.manual_seed(0)
    model = build(name, num_classes=3, **SMALL[name]).train()
    descend = build_loss(({"name": "cross_entropy"},), None, 0.4)
    output = model(torch.randn(1, 3, 32, 32))
    value = descend(output, torch.randint(0, 3, (1, 32, 32)), None)["loss"]
    value.backward()
    assert math.isfinite(float(value.detach()))
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
