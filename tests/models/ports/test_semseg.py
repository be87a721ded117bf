"""hszhao/semseg, recorded from its code at commit 4f274c3: `model/pspnet.py` in eval mode."""

import sys
from pathlib import Path

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "hszhao/semseg"


@pytest.mark.parametrize(("name", "depth"), [("semseg_pspnet50_19", 50), ("semseg_pspnet101_21", 101)])
def test_pspnet_gives_the_recorded_logits(name: str, depth: int) -> None:
    ported = read_port(SOURCE, fill(shapes_in(name)))
    assert ported.options == {"depth": depth, "aux": True}
    assert difference(name, ported.model) < 1e-10


def test_the_auxiliary_head_has_its_weights() -> None:
    state = fill(shapes_in("semseg_pspnet50_19"))
    own = port(SOURCE, state).state_dict()
    for theirs, ours in {"aux.0.weight": "0.conv.weight", "aux.1.running_var": "0.norm.running_var"}.items():
        assert own[f"auxiliary.{ours}"].equal(state[theirs])
    assert own["auxiliary.2.bias"].equal(state["aux.4.bias"])


def test_weights_without_the_auxiliary_head_are_taken_too() -> None:
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in shapes_in("semseg_pspnet50_19").items()}
        state = {f"module.{key}": tensor for key, tensor in state.items() if not key.startswith("aux.")}
        assert read_port(SOURCE, {"epoch": 200, "state_dict": state}).options == {"depth": 50, "aux": False}


def test_psanet_and_pspnet_without_pooling_are_refused() -> None:
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes_in("semseg_pspnet50_19").items()}
    with pytest.raises(UserError, match=r"PSANet, a network that is not here"):
        port(SOURCE, {**state, "psa.reduce.0.weight": torch.empty(512, 2048, 1, 1)})
    with pytest.raises(UserError, match=r"no pyramid pooling"):
        port(SOURCE, {key: tensor for key, tensor in state.items() if not key.startswith("ppm.")})
    with pytest.raises(UserError, match=r"stages of \(3, 4, 5, 3\) blocks"):
        port(SOURCE, {key: tensor for key, tensor in state.items() if not key.startswith("layer3.5.")})
