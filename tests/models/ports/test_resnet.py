"""ResNets of torchvision and timm in the trunks here, against their own features for the same weights.

Trunks are compared in double precision. Each network is built on the meta device and given memory by the weights alone.
"""

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from perpixel.core.errors import UserError
from perpixel.models.catalog import build
from perpixel.models.ports import SOURCES, port, read_port
from perpixel.models.ports.source import translate

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import fill, image_of

TORCHVISION, TIMM = "torchvision/resnet", "timm/resnet"
LAYERS = ["layer1", "layer2", "layer3", "layer4"]


def filled(model: nn.Module) -> dict[str, Tensor]:
    """Gives a model weights made from their names; returns them."""
    state = fill({key: tuple(tensor.shape) for key, tensor in model.state_dict().items()})
    model.load_state_dict(state, assign=True)
    model.double().eval()
    return state


def trunk_with(source: str, network: str, state: dict[str, Tensor]) -> Any:
    """The trunk of the network, with what the weights bring."""
    reading = SOURCES[source].read(state, network)
    with torch.device("meta"):
        model: Any = build(network, 5, 3, **reading.options)
    model.load_state_dict(translate(state, reading, model, keep_heads=False), assign=True)
    trunk = model.trunk if network.startswith("drn") else model.backbone
    return trunk.double().eval()


def torchvision_resnet(depth: int, dilate: list[bool]) -> Any:
    options = {"replace_stride_with_dilation": dilate} if depth >= 50 else {}
    with torch.device("meta"):
        return getattr(torchvision.models, f"resnet{depth}")(weights=None, **options)


def dilate_first_block(stage: nn.Module, dilation: int) -> None:
    """That of a stage of torchvision's or timm's: there it has the dilation of the stage before."""
    conv = stage[0].conv2
    conv.dilation = conv.padding = (dilation, dilation)


@pytest.mark.parametrize(
    ("network", "depth"), [("fcn_resnet", 50), ("deeplabv3", 101), ("drn_a_50", 50), ("deformable_deeplab", 50)]
)
@torch.no_grad()
def test_stages_are_torchvisions(network: str, depth: int) -> None:
    resnet = torchvision_resnet(depth, [False, network != "deformable_deeplab", True])
    state = filled(resnet)
    if network == "drn_a_50":  # its authors do not dilate the first block of a stage at all
        dilate_first_block(resnet.layer4, 1)
    trunk = trunk_with(TORCHVISION, network, state)
    if network == "deformable_deeplab":  # its authors dilate every block of stage 4; its offsets are not torchvision's
        trunk.stages = trunk.stages[:3]
    image = image_of((41, 57))
    expected = create_feature_extractor(resnet, LAYERS)(image)
    for layer, stage in zip(LAYERS, trunk(image), strict=False):
        assert expected[layer].std() > 0.01
        torch.testing.assert_close(stage, expected[layer], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("depth", [18, 34])
@torch.no_grad()
def test_basic_blocks_are_torchvisions_until_dilation_begins(depth: int) -> None:
    resnet = torchvision_resnet(depth, [])
    trunk = trunk_with(TORCHVISION, f"drn_a_{depth}", filled(resnet))
    image = image_of((41, 57))
    expected = create_feature_extractor(resnet, LAYERS)(image)
    stages = trunk(image)
    assert len(stages) == 4
    for layer, stage in zip(LAYERS[:2], stages, strict=False):
        torch.testing.assert_close(stage, expected[layer], atol=1e-9, rtol=1e-9)
    for stage in (resnet.layer3, resnet.layer4):  # torchvision dilates no basic blocks: by hand
        dilation = 2 if stage is resnet.layer3 else 4
        stage[0].conv1.stride = stage[0].downsample[0].stride = (1, 1)
        for conv in [part for block in list(stage)[1:] for part in (block.conv1, block.conv2)]:
            conv.dilation = conv.padding = (dilation, dilation)
    torch.testing.assert_close(
        stages[3], create_feature_extractor(resnet, ["layer4"])(image)["layer4"], atol=1e-9, rtol=1e-9
    )


@pytest.mark.parametrize("network", ["encnet", "pspnet"])
@torch.no_grad()
def test_deep_stems_are_timms(network: str) -> None:
    with torch.device("meta"):
        resnet: Any = timm.create_model("resnet50s", features_only=True, output_stride=8)
    state = filled(resnet)
    if network == "pspnet":  # its authors dilate every block of a stage, timm's first has that of the stage before
        dilate_first_block(resnet.layer3, 2)
        dilate_first_block(resnet.layer4, 4)
    image = image_of((41, 57))
    _, *expected = resnet(image)
    for stage, theirs in zip(trunk_with(TIMM, network, state)(image), expected, strict=True):
        assert theirs.std() > 0.01
        torch.testing.assert_close(stage, theirs, atol=1e-9, rtol=1e-9)


def test_timms_classifiers_name_their_parts_as_torchvisions() -> None:
    state = filled(timm.create_model("resnet18", pretrained=False))
    model = port(TIMM, state, num_classes=3, network="drn_a_18")
    assert model.state_dict()["trunk.levels.3.1.convs.1.conv.weight"].equal(state["layer4.1.conv2.weight"])
    assert model(torch.zeros(1, 3, 20, 30))["logits"].shape == (1, 3, 20, 30)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_the_depth_is_that_of_the_weights(depth: int) -> None:
    with torch.device("meta"):
        state = timm.create_model(f"resnet{depth}s").state_dict()
        ported = read_port(TIMM, state, num_classes=3, network="pspnet")
    assert ported.options == {"depth": depth}


@pytest.mark.parametrize(
    ("source", "name", "network", "said"),
    [
        (TIMM, "resnet50", "pspnet", r"pspnet begins with three 3x3 .* these weights of timm with one 7x7"),
        (TIMM, "resnet50s", "fcn_resnet", r"fcn_resnet begins with one 7x7 .* with three 3x3"),
        (TIMM, "resnet50d", "pspnet", r"pools in its shortcuts"),
        (
            TIMM,
            "resnet50c",
            "pspnet",
            r"of another shape: .*conv1\.0\.weight \(32, 3, 3, 3\), expected \(64, 3, 3, 3\)",
        ),
        (TIMM, "resnet26", "fcn_resnet", r"its stages have \(2, 2, 2, 2\) bottlenecks"),
        (TIMM, "seresnet50", "fcn_resnet", r"unknown: layer1\.0\.se\."),
        (
            TORCHVISION,
            "resnet34",
            "fcn_resnet",
            r"fcn_resnet takes a ResNet-50, 101 or 152; these .* are a ResNet-34's",
        ),
        (TORCHVISION, "resnet34", "drn_a_50", r"drn_a_50 takes a ResNet-50; these .* are a ResNet-34's"),
        (TORCHVISION, "resnet101", "drn_a_50", r"drn_a_50 takes a ResNet-50; these .* are a ResNet-101's"),
        (TORCHVISION, "wide_resnet50_2", "fcn_resnet", r"of another shape: layer1\.0\.conv1\.weight \(128, 64, 1, 1\)"),
        (TORCHVISION, "resnet50", "pspnet", r'torchvision/resnet has no weights for "pspnet"'),
    ],
)
def test_what_does_not_fit_is_refused(source: str, name: str, network: str, said: str) -> None:
    with torch.device("meta"):
        origin = torchvision.models.get_model(name) if source == TORCHVISION else timm.create_model(name)
        with pytest.raises(UserError, match=said):
            port(source, origin.state_dict(), num_classes=3, network=network)
