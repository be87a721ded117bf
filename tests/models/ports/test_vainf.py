"""VainF/DeepLabV3Plus-Pytorch, recorded from its code at commit 4e1087d: `network/modeling.py`."""

import sys
from pathlib import Path

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "VainF/DeepLabV3Plus-Pytorch"


@pytest.mark.parametrize("network", ["deeplabv3plus", "deeplabv3"])
def test_at_an_output_stride_of_16_as_it_comes(network: str) -> None:
    found = read_port(SOURCE, fill(shapes_in(f"vainf_{network}_resnet50_16_21")))
    assert (found.reading.network, found.num_classes, found.options["output_stride"]) == (network, 21, 16)
    assert difference(f"vainf_{network}_resnet50_16_21", found.model) < 1e-6


@pytest.mark.parametrize("network", ["deeplabv3plus", "deeplabv3"])
def test_an_output_stride_of_8_must_be_said(network: str) -> None:
    state = {"model_state": fill(shapes_in(f"vainf_{network}_resnet101_8_19")), "cur_itrs": 30000}
    model = port(SOURCE, state, options={"output_stride": 8})
    assert difference(f"vainf_{network}_resnet101_8_19", model) < 1e-6


def test_another_number_of_classes_leaves_the_scores_fresh() -> None:
    state = fill(shapes_in("vainf_deeplabv3plus_resnet50_16_21"))
    own = port(SOURCE, state, num_classes=5).state_dict()
    assert own["score.weight"].shape[0] == 5
    assert own["low_level.conv.weight"].equal(state["classifier.project.0.weight"])


def test_what_is_not_theirs_is_refused() -> None:
    state = fill({k: s for k, s in shapes_in("vainf_deeplabv3plus_resnet50_16_21").items() if ".layer4." not in k})
    mobilenet = {k: t for k, t in state.items() if not k.startswith("backbone.")}
    mobilenet["backbone.low_level_features.0.0.weight"] = torch.zeros(32, 3, 3, 3)
    with pytest.raises(UserError, match="another backbone than those that can be taken: resnet50, resnet101"):
        port(SOURCE, mobilenet)
    with pytest.raises(UserError, match="trained with --separable_conv"):
        port(SOURCE, state | {"classifier.aspp.convs.1.0.body.0.weight": torch.zeros(2048, 1, 3, 3)})
    with pytest.raises(UserError, match=r"stages of \(3, 4, 6, 0\) blocks"):
        port(SOURCE, state)
    with pytest.raises(UserError, match="this is no state dict of VainF/DeepLabV3Plus-Pytorch"):
        port(SOURCE, {"conv1.weight": torch.zeros(64, 3, 7, 7)})
