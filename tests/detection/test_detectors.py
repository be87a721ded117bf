"""What every detector must do, whatever it is: one test a promise, each run on every detector."""

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.detection import DETECTORS, Objects, build, choose, detection_loss, detector_options
from perpixel.detection.losses import LOSS_OPTIONS

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
import detector_cases

CASES = detector_cases.CASES
SMALL = [case for case in CASES if case.small is not None]
CLASSES = 3
KEYS = ["features", "rpn_logits", "rpn_deltas", "anchors", "proposals", "class_logits", "box_deltas"]


def small(case: Any, in_channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build(case.name, CLASSES, in_channels, **case.small)


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def awake(model: nn.Module) -> nn.Module:
    """The detector in eval, with batch norms that have seen images and heads that tell regions apart."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
        if isinstance(part, nn.Conv2d | nn.Linear) and part.weight.abs().max() < 0.1:
            nn.init.normal_(part.weight, std=0.05)
    with torch.no_grad():
        model.train()(images(4, 3, 64, 64))
    return model.eval()


@pytest.fixture(params=SMALL, ids=str)
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_cases_catalog_and_losses_name_the_same_detectors() -> None:
    assert {case.name for case in SMALL} == set(DETECTORS) == set(LOSS_OPTIONS)
    assert len(DETECTORS) == 4
    assert list(DETECTORS) == sorted(DETECTORS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parameter_count_is_the_authors(case: Any) -> None:
    with torch.device("meta"):
        model = build(case.name, case.num_classes, **case.options)
    named = [
        (name, p.numel()) for name, p in model.named_parameters() if not (case.without_rpn and name.startswith("rpn."))
    ]
    assert sum(count for _, count in named) == case.parameters, case.source


@pytest.mark.parametrize("size", [(1, 1), (7, 45), (64, 96)], ids=str)
@pytest.mark.parametrize("batch", [1, 2])
def test_any_size_gives_the_documented_shapes(case: Any, size: tuple[int, int], batch: int) -> None:
    for training in (True, False):
        output = small(case).train(training)(images(batch, 3, *size))
        assert list(output) == (KEYS if "rpn_logits" in output else [k for k in KEYS if k not in KEYS[1:4]])
        regions = len(output["proposals"])
        assert output["proposals"].shape == (regions, 5) and not output["proposals"].requires_grad
        assert output["class_logits"].shape == (regions, CLASSES + 1)
        assert output["box_deltas"].shape == (regions, 1 if "rfcn" in case.name else CLASSES, 4)
        assert all(len(maps) == batch for maps in output["features"])
        if "rpn_logits" in output:
            anchors = len(output["anchors"])
            assert output["rpn_logits"].shape == (batch, anchors) and output["rpn_deltas"].shape == (batch, anchors, 4)
            assert 0 < regions <= 40 * batch
        boxes = output["proposals"][:, 1:]
        assert (boxes >= 0).all() and (boxes <= boxes.new_tensor([size[1], size[0]] * 2)).all()
        assert all(torch.isfinite(output[key]).all() for key in ("class_logits", "box_deltas"))
        assert len(choose(output, size)) == batch


def test_regions_of_ones_own_and_none_at_all(case: Any) -> None:
    model, image = awake(small(case)), images(2, 3, 64, 96)
    rois = torch.tensor([[1.0, 4, 4, 40, 50], [0, 10, 0, 96, 64], [1, 30, 30, 30, 30], [0, 200, 200, 240, 230]])
    with torch.no_grad():
        output = model(image, rois)
        proposed = model.propose(image)
        alone = model.head(proposed["features"], rois[:1])
        nothing = model(image, rois[:0])
    assert torch.equal(output["proposals"], rois)
    torch.testing.assert_close(output["class_logits"][:1], alone["class_logits"])
    torch.testing.assert_close(output["box_deltas"][:1], alone["box_deltas"])
    assert nothing["class_logits"].shape == (0, CLASSES + 1)
    assert [len(found) for found in choose(nothing, (64, 96))] == [0, 0]
    assert (output["class_logits"][0] - output["class_logits"][1]).abs().max() > 1e-3  # it looks at its regions


def test_a_batch_equals_its_images_one_by_one(case: Any) -> None:
    model, batch = awake(small(case)).double(), images(3, 3, 48, 80).double()
    with torch.no_grad():
        together = model(batch)
        for i, image in enumerate(batch):
            alone, here = model(image[None]), together["proposals"][:, 0] == i
            for key in ("class_logits", "box_deltas"):
                torch.testing.assert_close(together[key][here], alone[key], atol=1e-9, rtol=1e-9)
            torch.testing.assert_close(together["proposals"][here, 1:], alone["proposals"][:, 1:])
    assert len(alone["class_logits"]) > 5


def test_every_parameter_gets_a_gradient(case: Any) -> None:
    model = small(case).train()
    for parameter in model.parameters():  # ResNets start with blocks that a scale of 0 switches off
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn_like(parameter)
    truth = [Objects.of([[4, 4, 30, 30]], [0]), Objects.of([[8, 2, 60, 40], [0, 0, 20, 20]], [1, 2])]
    detection_loss(case.name, model)(model.propose(images(2, 3, 64, 96)), truth)["loss"].backward()
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert lacking == []
    assert len(list(model.parameters())) > 30


@pytest.mark.parametrize("in_channels", [1, 7])
def test_any_number_of_channels(case: Any, in_channels: int) -> None:
    assert len(small(case, in_channels).eval()(images(1, in_channels, 32, 32))["features"][0]) == 1


def test_half_precision_keeps_boxes_and_scores_in_full(case: Any) -> None:
    model, image = awake(small(case)), images(1, 3, 64, 64)
    rois = torch.tensor([[0.0, 4, 4, 40, 50], [0.0, 20, 10, 60, 60]])
    with torch.no_grad():
        full = model(image, rois)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(image, rois)
    for key in ("class_logits", "box_deltas"):
        assert half[key].dtype == torch.float32
        torch.testing.assert_close(half[key], full[key], atol=0.1, rtol=0.1)
    assert half.get("rpn_deltas", full["box_deltas"]).dtype == torch.float32


def test_two_images_can_be_overfitted(case: Any) -> None:
    model = small(case).train()
    image, truth = two_scenes()
    loss = detection_loss(case.name, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(120):
        optimiser.zero_grad()
        loss(model.propose(image), truth)["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        if step % 10 == 9 and finds(model, image, truth):
            return
    pytest.fail("120 steps did not teach it the three squares of two images")


def two_scenes() -> tuple[Tensor, list[Objects]]:
    """Two images of 64 x 64 with a bright square each, and one with a dark one."""
    image = 0.1 * images(2, 3, 64, 64)
    image[0, :, 8:24, 12:36] += 2
    image[1, :, 30:54, 30:54] += 2
    image[1, :, 4:20, 4:20] -= 2
    return image, [Objects.of([[12, 8, 36, 24]], [0]), Objects.of([[30, 30, 54, 54], [4, 4, 20, 20]], [0, 2])]


@torch.no_grad()
def finds(model: nn.Module, image: Tensor, truth: list[Objects]) -> bool:
    """Whether what it is surest of are the squares, each with IoU 0.5; norms as in training."""
    for found, objects in zip(choose(model(image), (64, 64), iou=0.3), truth, strict=True):
        best = sorted(zip(found.classes.tolist()[: len(objects)], found.boxes.tolist(), strict=False))
        known = sorted(zip(objects.classes.tolist(), objects.boxes.tolist(), strict=True))
        if [label for label, _ in best] != [label for label, _ in known]:
            return False
        if any(iou(box, true) < 0.5 for (_, box), (_, true) in zip(best, known, strict=True)):
            return False
    return True


def iou(a: list[float], b: list[float]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_constructors_say_every_option(name: str) -> None:
    parameters = list(inspect.signature(DETECTORS[name]).parameters.values())
    assert [parameter.name for parameter in parameters[:2]] == ["num_classes", "in_channels"]
    assert all(parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters[1:])


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_the_file_says_what_differs_from_the_paper(name: str) -> None:
    text = sys.modules[DETECTORS[name].__module__].__doc__ or ""
    assert "Differs from the paper:\n- " in text
    assert "arXiv:" in text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rfnc", {}, 'There is no detector "rfnc". Did you mean "rfcn"?'),
        ("zebra", {}, 'There is no detector "zebra". Known: deformable_rfcn, '),
        ("rfcn", {"strid": 8}, 'rfcn has no option "strid". Did you mean "stride"?'),
        ("rfcn", {"stride": 32}, "stride must be 8 or 16; got 32"),
        ("rfcn", {"encoder": "resnet5O"}, 'timm has no encoder "resnet5O". Did you mean "resnet50"?'),
        ("rfcn", {"encoder": "vgg11"}, "timm cannot make vgg11 with an output stride of 16"),
        ("fpn_detector", {"num_classes": 0}, "num_classes must be 1 or more; got 0"),
        ("deformable_rfcn", {"encoder": "resnet18", "deformable": 99}, "resnet18 has 14; got 99"),
    ],
)
def test_what_cannot_be_built_says_why(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        build(name, **({"num_classes": 3} | options))
    assert message in str(error.value)


def test_options_have_their_defaults() -> None:
    assert detector_options("fpn_detector")["encoder"] == "resnet50"
