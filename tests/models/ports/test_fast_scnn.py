"""Tramac/Fast-SCNN-pytorch, recorded from its code at commit 0638517: `models/fast_scnn.py`."""

import sys
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "Tramac/Fast-SCNN-pytorch"


@pytest.mark.parametrize("name", ["tramac_fast_scnn_19", "tramac_fast_scnn_21"])
def test_the_network_gives_the_recorded_logits(name: str) -> None:
    assert difference(name, port(SOURCE, fill(shapes_in(name)))) < 1e-9


def test_so_does_the_auxiliary_head() -> None:
    model = port(SOURCE, fill(shapes_in("tramac_fast_scnn_21")))
    assert difference("tramac_fast_scnn_21_aux", model, key="aux") < 1e-9


@pytest.mark.parametrize(
    "option",
    [{"dsconv_nonlinearity": False}, {"ffm_dilation": 4}, {"first_padding": 1}, {"align_corners": False}],
    ids=str,
)
def test_every_deviation_counts(option: dict[str, int]) -> None:
    model = port(SOURCE, fill(shapes_in("tramac_fast_scnn_19")), options=option)
    assert difference("tramac_fast_scnn_19", model) > 1e-3


def test_classes_and_options_are_read_off_the_weights() -> None:
    found = read_port(SOURCE, fill(shapes_in("tramac_fast_scnn_19")))
    assert found.num_classes == 19 and found.options["aux"] is False and found.options["ffm_bias"] is True


def test_another_number_of_classes_leaves_the_scores_fresh() -> None:
    state = fill(shapes_in("tramac_fast_scnn_21"))
    own = port(SOURCE, state, num_classes=5).state_dict()
    assert own["classifier.score.weight"].shape[0] == own["auxiliary.score.weight"].shape[0] == 5
    assert own["auxiliary.conv.conv.weight"].equal(state["auxlayer.0.weight"])


def test_what_is_not_theirs_is_refused() -> None:
    state = fill(shapes_in("tramac_fast_scnn_19"))
    with pytest.raises(UserError, match=r"unknown: classifier\.conv\.7\.bias"):
        port(SOURCE, state | {"classifier.conv.7.bias": state["classifier.conv.1.bias"]})
    with pytest.raises(UserError, match=r"missing: .*feature_fusion\.conv_lower_res\.0\.bias"):
        port(SOURCE, {k: v for k, v in state.items() if k != "feature_fusion.conv_lower_res.0.bias"})
    with pytest.raises(UserError, match=r"this is no state dict of Tramac/Fast-SCNN-pytorch"):
        port(SOURCE, {"conv1.weight": state["classifier.conv.1.weight"]})
