"""wkentaro/pytorch-fcn, recorded from its code at commit 4b98850, at full size.

FCN-8s at once is compared in double precision, because its skips count for a ten thousandth; the others, whose two
networks hold a gigabyte each in double precision, in single.
"""

import sys
from pathlib import Path

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.models.ports import port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "wkentaro/pytorch-fcn"


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
def test_networks_give_the_recorded_logits(name: str) -> None:
    model = port(SOURCE, fill(shapes_in(f"pytorch_fcn_{name}")))
    assert difference(f"pytorch_fcn_{name}", model, dtype=torch.float32) < 1e-5


def test_at_once_gives_the_recorded_logits_when_asked_for() -> None:
    model = port(SOURCE, fill(shapes_in("pytorch_fcn_fcn8s_at_once")), network="fcn8s_at_once")
    assert difference("pytorch_fcn_fcn8s_at_once", model) < 1e-10


def test_another_network_than_the_weights_is_refused() -> None:
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes_in("pytorch_fcn_fcn16s").items()}
    with pytest.raises(UserError, match=r"those of fcn16s, not of fcn8s_at_once"):
        port(SOURCE, state, network="fcn8s_at_once")
    del state["upscore16.weight"]
    with pytest.raises(UserError, match=r"missing: upscore16\.weight$"):
        port(SOURCE, state)
