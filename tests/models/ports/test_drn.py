"""fyu/drn, recorded from its code at commit d75db2e: `drn.py` and the network of `segment.py`, before its log-softmax."""

import sys
from pathlib import Path

import pytest

from perpixel.models.ports import port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SEGMENTERS = ("drn_a_50", "drn_c_26", "drn_c_58", "drn_d_22", "drn_d_54")
CLASSIFIERS = ("drn_a_50", "drn_c_26", "drn_d_24")


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmentation_networks_give_the_recorded_logits(name: str) -> None:
    model = port("fyu/drn", fill(shapes_in(f"fyu_drn_{name}_seg")))
    assert difference(f"fyu_drn_{name}_seg", model) < 1e-6


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_the_recorded_scores(name: str) -> None:
    model = port("fyu/drn", fill(shapes_in(f"fyu_drn_{name}_classifier")))
    assert difference(f"fyu_drn_{name}_classifier", model) < 1e-6


def test_a_classifier_fills_the_trunk_of_a_segmentation_network() -> None:
    state = fill(shapes_in("fyu_drn_drn_c_26_classifier"))
    model = port("fyu/drn", state, num_classes=7)
    assert model.state_dict()["score.weight"].shape[0] == 7
    assert model.state_dict()["trunk.stem.conv.weight"].equal(state["conv1.weight"])
