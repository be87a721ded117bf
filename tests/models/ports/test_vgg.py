"""torchvision's VGG-16 in the networks made from it, against torchvision's own answers for the same weights.

Only the parts compared are given memory: the networks are built on the meta device, and the weights put into them.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.models.catalog import build
from perpixel.models.ports import SOURCES, port
from perpixel.models.ports.source import translate

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import fill, image_of

PLAIN, NORMS = "torchvision/vgg16", "torchvision/vgg16_bn"
BUILDERS = {PLAIN: torchvision.models.vgg16, NORMS: torchvision.models.vgg16_bn}


def shapes_of(source: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = BUILDERS[source](weights=None)
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def state_of(source: str, classifier: bool = False) -> dict[str, Tensor]:
    """Weights made from their names; those of the classifier only if asked for, else zeros that take no memory."""
    shapes = shapes_of(source)
    made = fill({key: shape for key, shape in shapes.items() if classifier or key.startswith("features.")})
    return {key: made[key] if key in made else torch.zeros(1).expand(shape) for key, shape in shapes.items()}


def features_of(source: str, state: dict[str, Tensor]) -> nn.Sequential:
    """torchvision's convolutions and poolings with these weights, in double precision."""
    with torch.device("meta"):
        features = BUILDERS[source](weights=None).features
    own = {key.removeprefix("features."): tensor for key, tensor in state.items() if key.startswith("features.")}
    features.load_state_dict(own, assign=True)
    return features.double().eval()


def network_with(source: str, name: str, state: dict[str, Tensor], **options: Any) -> Any:
    """The network, of which only what comes from the weights has memory."""
    with torch.device("meta"):
        model = build(name, 5, 3, **options)
    found = translate(state, SOURCES[source].read(state, name), model, keep_heads=False)
    model.load_state_dict(found, assign=True)
    return model.eval()


def close(found: Tensor, expected: Tensor, source: str) -> None:
    """Equal in double precision; but for the rounding of joined weights to single where there are norms."""
    tolerance = 1e-10 if source == PLAIN else 2e-6
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


def pooled(stages: nn.ModuleList, image: Tensor) -> Tensor:
    for stage in stages:
        image = F.max_pool2d(stage.double()(image), kernel_size=2, stride=2)
    return image


STAGES: dict[str, Callable[[Any], nn.ModuleList]] = {
    "fcn32s": lambda model: model.stages,
    "segnet": lambda model: model.encoder,
    "deconvnet": lambda model: model.convolutions,
    "decouplednet": lambda model: model.classifier.convolutions,
}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("source", [PLAIN, NORMS])
@torch.no_grad()
def test_the_last_pooling_is_the_classifiers(source: str, name: str) -> None:
    state = state_of(source)
    model = network_with(source, name, state, **({"padding": "same"} if name == "fcn32s" else {}))
    stages = STAGES[name](model)
    if source == PLAIN and name in ("segnet", "deconvnet"):  # their norms stay fresh; here they are not looked at
        stages = nn.ModuleList(nn.Sequential(*(p for p in s if not isinstance(p, nn.BatchNorm2d))) for s in stages)
    image = image_of((64, 64))
    expected = features_of(source, state)(image)
    assert expected.shape == (1, 512, 2, 2) and expected.std() > 0.01
    close(pooled(stages, image), expected, source)


@pytest.mark.parametrize("source", [PLAIN, NORMS])
@torch.no_grad()
def test_dilated_convolutions_are_the_classifiers_at_every_place(source: str) -> None:
    """torchvision's own layers, without padding and the last two poolings, the last three dilated, give the same."""
    state = state_of(source)
    model = network_with(source, "dilated_frontend", state)
    features = features_of(source, state)
    convs = [part for part in features if isinstance(part, nn.Conv2d)]
    for conv in convs:
        conv.padding = (0, 0)
    for conv in convs[-3:]:
        conv.dilation = (2, 2)
    poolings = [i for i, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
    for i in poolings[-2:]:
        features[i] = nn.Identity()
    image = image_of((204, 212))
    expected = features(image)
    assert expected.shape == (1, 512, 3, 4) and expected.std() > 0.01
    close(model.scores.convs.double()(image), expected, source)


@pytest.mark.parametrize("source", [PLAIN, NORMS])
@torch.no_grad()
def test_parsenets_convolutions_are_the_classifiers(source: str) -> None:
    """torchvision's own layers, with DeepLab's poolings and dilations, give the same."""
    state = state_of(source)
    model = network_with(source, "parsenet", state)
    features = features_of(source, state)
    strides = iter((2, 2, 2, 1, 1))
    for i, part in enumerate(features):
        if isinstance(part, nn.MaxPool2d):
            features[i] = nn.MaxPool2d(kernel_size=3, stride=next(strides), padding=1)
    for conv in [part for part in features if isinstance(part, nn.Conv2d)][-3:]:
        conv.dilation = conv.padding = (2, 2)
    image = image_of((65, 49))
    close(model.backbone.convs.double()(image), features(image), source)


@pytest.fixture(scope="module")
def full() -> dict[str, Tensor]:
    return state_of(PLAIN, classifier=True)


@torch.no_grad()
def test_fcn_answers_as_the_classifier_at_the_centre_of_its_image(full: dict[str, Tensor]) -> None:
    """On 224 x 224, the seventh of fc7's rows and columns that sees the whole of the last pooling."""
    model = network_with(PLAIN, "fcn8s", full, padding="same")
    with torch.device("meta"):
        classifier = torchvision.models.vgg16(weights=None)
    classifier.load_state_dict(full, assign=True)
    classifier.eval()
    image = image_of((224, 224)).float()
    pool5 = classifier.features(image)
    expected = classifier.classifier[:5](pool5.flatten(1))
    x = image
    for stage in model.stages:
        x = F.max_pool2d(stage(x), kernel_size=2, stride=2, ceil_mode=True)
    torch.testing.assert_close(model.classify(x)[..., 3, 3], expected, atol=1e-4, rtol=1e-4)
    slid = network_with(PLAIN, "fcn32s", full).classify(pool5)
    torch.testing.assert_close(slid[..., 0, 0], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_other_networks_have_the_fully_connected_layers_as_convolutions(full: dict[str, Tensor]) -> None:
    pool5 = image_of((7, 7), channels=512).float()
    hidden = F.linear(pool5.flatten(1), full["classifier.0.weight"], full["classifier.0.bias"])
    expected = F.linear(F.relu(hidden), full["classifier.3.weight"], full["classifier.3.bias"])
    spread = torch.zeros(1, 512, 25, 25)
    spread[..., ::4, ::4] = pool5  # fc6 of the dilated front-end has a dilation of 4
    deconvnet = network_with(PLAIN, "deconvnet", full)
    decoupled = network_with(PLAIN, "decouplednet", full).classifier
    dilated = network_with(PLAIN, "dilation8", full).scores
    layers = ((deconvnet.fc6[0], deconvnet.fc7[0]), (decoupled.fc6, decoupled.fc7), (dilated.fc6, dilated.fc7))
    for (fc6, fc7), seen in zip(layers, (pool5, pool5, spread), strict=True):
        torch.testing.assert_close(fc7(F.relu(fc6(seen))).flatten(1), expected, atol=1e-3, rtol=1e-4)


def test_a_whole_network_is_filled_and_its_heads_and_norms_are_fresh() -> None:
    state = state_of(PLAIN)
    own = port(PLAIN, state, num_classes=4, network="bayesian_segnet").state_dict()
    assert own["encoder.4.conv5_3.weight"].equal(state["features.28.weight"])
    assert own["encoder.4.norm5_3.weight"].eq(1).all() and own["encoder.4.norm5_3.running_var"].eq(1).all()
    assert own["score.weight"].shape == (4, 64, 3, 3) and own["score.weight"].std() > 0.01


def test_what_does_not_fit_is_refused() -> None:
    plain, norms = (
        {key: torch.empty(shape, device="meta") for key, shape in shapes_of(source).items()}
        for source in (PLAIN, NORMS)
    )
    with pytest.raises(UserError, match=r"say which: .*dilated_frontend"):
        port(PLAIN, plain, num_classes=2)
    with pytest.raises(UserError, match="say num_classes"):
        port(PLAIN, plain, network="segnet")
    with pytest.raises(UserError, match=r'their source is "torchvision/vgg16_bn"'):
        port(PLAIN, norms, 2, "segnet")
    with pytest.raises(UserError, match=r'no "features\.1\.running_mean"'):
        port(NORMS, plain, 2, "segnet")
    norms["features.3.weight"] = torch.empty(65, 64, 3, 3)
    del norms["features.8.running_var"]
    with pytest.raises(
        UserError, match=r"missing: features\.8\.running_var; of another shape: features\.3\.weight \(65"
    ):
        port(NORMS, norms, 2, "parsenet")
