"""Eromera/erfnet_pytorch, recorded from its code at commit d4a46fa: `train/erfnet.py` and the encoder of `erfnet_imagenet.py`."""

import sys
from pathlib import Path

import pytest
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.erfnet import ERFNet
from perpixel.models.ports import port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "Eromera/erfnet_pytorch"


def test_the_network_gives_the_recorded_logits() -> None:
    model = port(SOURCE, fill(shapes_in("eromera_erfnet_20")))
    assert difference("eromera_erfnet_20", model) < 1e-9


def test_the_encoders_own_scores_are_the_recorded_ones() -> None:
    model = port(SOURCE, {"state_dict": {f"module.{k}": v for k, v in fill(shapes_in("eromera_erfnet_20")).items()}})
    assert isinstance(model, ERFNet) and model.encoder_score is not None
    assert difference("eromera_erfnet_20_encoder", nn.Sequential(model.encoder, model.encoder_score)) < 1e-9


def test_without_the_encoders_head_there_is_no_auxiliary_output() -> None:
    state = {k: v for k, v in fill(shapes_in("eromera_erfnet_20")).items() if "encoder.output_conv" not in k}
    model = port(SOURCE, state)
    assert isinstance(model, ERFNet) and model.encoder_score is None
    assert difference("eromera_erfnet_20", model) < 1e-9


def test_a_classifiers_encoder_goes_under_a_fresh_decoder() -> None:
    state = fill(shapes_in("eromera_erfnet_classifier_encoder"))
    model = port(SOURCE, state, num_classes=19)
    assert isinstance(model, ERFNet) and model.encoder_score is None
    assert difference("eromera_erfnet_classifier_encoder", model.encoder) < 1e-9
    assert port(SOURCE, state, num_classes=3, options={"aux": True}).state_dict()["encoder_score.bias"].shape == (3,)
    with pytest.raises(UserError, match="no segmentation head; say num_classes"):
        port(SOURCE, state)


def test_another_number_of_classes_leaves_both_heads_fresh() -> None:
    state = fill(shapes_in("eromera_erfnet_20"))
    own = port(SOURCE, state, num_classes=5).state_dict()
    assert own["decoder.6.weight"].shape == (16, 5, 2, 2) and own["encoder_score.weight"].shape == (5, 128, 1, 1)
    assert own["decoder.5.norm2.weight"].equal(state["decoder.layers.5.bn2.weight"])


def test_what_is_not_theirs_is_refused() -> None:
    state = fill(shapes_in("eromera_erfnet_20"))
    with pytest.raises(UserError, match="batch norms folded"):  # their eval/erfnet_nobn.py
        port(SOURCE, {k: v for k, v in state.items() if ".bn" not in k})
    with pytest.raises(UserError, match=r"missing: encoder\.layers\.3\.conv3x1_1\.weight"):
        port(SOURCE, {k: v for k, v in state.items() if k != "encoder.layers.3.conv3x1_1.weight"})
    with pytest.raises(UserError, match=r"unknown: encoder\.layers\.15\.bn1\.bias"):
        port(SOURCE, state | {"encoder.layers.15.bn1.bias": state["encoder.layers.14.bn1.bias"]})
    with pytest.raises(UserError, match=r'it has no "decoder\.output_conv\.weight"'):
        port(SOURCE, {"conv1.weight": state["encoder.output_conv.weight"]})
