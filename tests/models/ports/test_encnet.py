"""zhanghang1989/PyTorch-Encoding, recorded from its code at commit ac74841: `encoding/models/sseg/encnet.py`.

Its compiled operations stood in as the formulas of their C++ (`encoding/lib/cpu/encoding_cpu.cpp`), and PyTorch's batch norm
for the synchronised one.
"""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "zhanghang1989/PyTorch-Encoding"
ENCODING = "head.encmodule.encoding"


def weights(name: str) -> dict[str, Tensor]:
    """As recorded: such that features are about as large as codewords, and shared out among them, not given to one."""
    state = fill(shapes_in(name))
    state[f"{ENCODING}.1.running_var"] *= 1e9 if "101" in name else 1e4
    state[f"{ENCODING}.3.codewords"] *= 8
    state[f"{ENCODING}.3.scale"] = -0.02 * state[f"{ENCODING}.3.scale"].abs()
    return state


def test_the_whole_network_gives_the_recorded_outputs() -> None:
    found = read_port(SOURCE, weights("encnet_50s_59"))
    assert found.options == {"depth": 50, "aux": True, "presence": True, "lateral": True, "codewords": 32}
    assert difference("encnet_50s_59", found.model) < 1e-6
    assert difference("encnet_50s_59_aux", found.model, key="aux") < 1e-6
    assert difference("encnet_50s_59_presence", found.model, key="presence") < 1e-6


def test_so_do_others() -> None:
    found = read_port(SOURCE, weights("encnet_101s_150"))
    assert found.options == {"depth": 101, "aux": True, "presence": True, "lateral": False, "codewords": 32}
    assert difference("encnet_101s_150", found.model) < 1e-6
    bare = read_port(SOURCE, weights("encnet_50s_21_bare"))
    assert bare.options == {"depth": 50, "aux": False, "presence": False, "lateral": False, "codewords": 32}
    assert difference("encnet_50s_21_bare", bare.model) < 1e-6


def test_another_number_of_classes_leaves_every_score_fresh() -> None:
    state = weights("encnet_50s_59")
    own = port(SOURCE, state | {"pretrained.fc.weight": torch.zeros(1000, 2048)}, num_classes=5).state_dict()
    assert [own[f"{part}.weight"].shape[0] for part in ("score.1", "presence", "auxiliary.2")] == [5, 5, 5]
    assert own["lateral.connect3.conv.weight"].equal(state["head.connect.1.0.weight"])


def test_what_is_not_theirs_is_refused() -> None:
    state = fill({key: shape for key, shape in shapes_in("encnet_50s_21_bare").items() if ".layer4." not in key})
    fcn = {key: tensor for key, tensor in state.items() if "encmodule" not in key}
    with pytest.raises(UserError, match="only its EncNets can be taken"):
        port(SOURCE, fcn)
    with pytest.raises(UserError, match="another backbone than those that can be taken: resnet50s"):
        port(SOURCE, {key: tensor for key, tensor in state.items() if not key.startswith("pretrained.conv1.")})
    with pytest.raises(UserError, match=r"stages of \(3, 4, 6, 0\) blocks"):
        port(SOURCE, state)
