"""torchvision/segmentation, against torchvision's own networks: parameters, logits and sizes."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import segmentation

from perpixel.core.errors import UserError
from perpixel.models import build
from perpixel.models.deeplabv3 import DeepLabV3
from perpixel.models.fcn_resnet import FCNResNet
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import fill, image_of

SOURCE = "torchvision/segmentation"


def theirs(name: str, classes: int = 21, aux: bool = True) -> nn.Module:
    """Without values, which would take seconds."""
    with torch.device("meta"):
        return getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux)


def weights_of(name: str, classes: int = 21, aux: bool = True) -> dict[str, Tensor]:
    return fill({key: tuple(value.shape) for key, value in theirs(name, classes, aux).state_dict().items()})


@pytest.mark.parametrize("aux", [False, True])
@pytest.mark.parametrize("name", ["fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101"])
def test_parameters_are_torchvisions(name: str, aux: bool) -> None:
    network, depth = name.split("_resnet")
    with torch.device("meta"):
        ours, origin = build(network, 19, depth=int(depth), aux=aux), theirs(name, 19, aux)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in origin.parameters())
    assert len(ours.state_dict()) == len(origin.state_dict())


@pytest.mark.parametrize(
    ("name", "aux", "size"),
    [
        ("fcn_resnet50", True, (64, 64)),
        ("fcn_resnet101", False, (33, 50)),
        ("deeplabv3_resnet50", False, (75, 41)),
        ("deeplabv3_resnet101", True, (33, 50)),
    ],
)
def test_logits_are_torchvisions(name: str, aux: bool, size: tuple[int, int]) -> None:
    state, image = weights_of(name, aux=aux), image_of(size)
    found = read_port(SOURCE, state)
    network, depth = name.split("_resnet")
    assert isinstance(found.model, FCNResNet if network == "fcn" else DeepLabV3)
    assert found.options == {"depth": int(depth), "aux": aux} and found.num_classes == 21
    origin = theirs(name, aux=aux)
    origin.load_state_dict(state, assign=True)
    with torch.no_grad():
        ours, expected = found.model.double()(image), origin.double().eval()(image)
    assert list(ours) == (["logits", "aux"] if aux else ["logits"])
    for key, their_key in zip(ours, expected, strict=True):
        assert expected[their_key].std() > 1e-3
        torch.testing.assert_close(ours[key], expected[their_key], atol=1e-9, rtol=1e-9)


def test_training_steps_are_torchvisions() -> None:
    """In training mode too: the same places of batch norms and, switched off here, of dropout."""
    state, image = weights_of("deeplabv3_resnet50"), image_of((64, 32)).reshape(2, 3, 32, 32)
    ours, origin = port(SOURCE, state).double().train(), theirs("deeplabv3_resnet50")
    origin.load_state_dict(state, assign=True)
    origin.double().train()
    dropouts = [[part.p for part in m.modules() if isinstance(part, nn.Dropout)] for m in (ours, origin)]
    assert dropouts[0] == dropouts[1] == [0.5, 0.1]
    for part in (*ours.modules(), *origin.modules()):
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    with torch.no_grad():
        found, expected = ours(image), origin(image)
    torch.testing.assert_close(found["logits"], expected["out"], atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(found["aux"], expected["aux"], atol=1e-8, rtol=1e-8)


def test_another_number_of_classes_leaves_the_scores_fresh() -> None:
    for name, score in (("fcn_resnet50", "head.2"), ("deeplabv3_resnet50", "score")):
        state = weights_of(name)
        own = port(SOURCE, state, num_classes=4).state_dict()
        assert len(own[f"{score}.weight"]) == len(own["auxiliary.2.weight"]) == 4
        assert own["backbone.stem.0.conv.weight"].equal(state["backbone.conv1.weight"])
        assert own["auxiliary.0.conv.weight"].equal(state["aux_classifier.0.weight"])


def test_what_is_not_theirs_is_refused() -> None:
    state = weights_of("fcn_resnet50")
    with pytest.raises(UserError, match=r"missing: backbone\.layer2\.0\.conv2\.weight"):
        port(SOURCE, {key: value for key, value in state.items() if key != "backbone.layer2.0.conv2.weight"})
    with pytest.raises(UserError, match=r"unknown: classifier\.7\.weight"):
        port(SOURCE, state | {"classifier.7.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"these weights have \(3, 4, 6, 0\)"):
        port(SOURCE, {key: value for key, value in state.items() if "layer4" not in key})
    with pytest.raises(UserError, match=r'it has no "backbone\.conv1\.weight"'):
        port(SOURCE, {"backbone.0.0.weight": torch.zeros(1)})  # on a MobileNet
