"""The loss against torchvision's where everything is sampled, OHEM against a plain loop, and batches with little in
them."""

import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from perpixel.core.errors import UserError
from perpixel.detection import Objects, build, detection_loss
from perpixel.detection.fpn_detector import from_torchvision
from perpixel.detection.losses import LOSS_OPTIONS, DetectionLoss

ALL = 10**9
SMALL = {"encoder": "resnet10t", "channels": 16, "group": 3, "anchor_sizes": (12, 24), "proposals": 30}


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def detector() -> nn.Module:
    torch.manual_seed(0)
    model = build("rfcn", 3, **SMALL).train()
    for part in model.modules():  # heads that start at 0.01 say nothing
        if isinstance(part, nn.Conv2d) and part.weight.std() < 0.02:
            nn.init.normal_(part.weight, std=0.1)
    return model


TRUTH = [
    Objects.of([[4.0, 4, 30, 30], [40, 10, 60, 50]], [0, 2]),
    Objects.of([[8.0, 2, 60, 40]], [1]),
]


def test_where_all_is_sampled_it_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4, rpn_batch_size_per_image=ALL, box_batch_size_per_image=ALL,
        rpn_pre_nms_top_n_train=1000, rpn_post_nms_top_n_train=1000,
    )  # fmt: skip
    theirs.transform = GeneralizedRCNNTransform(64, 10_000, [0.0] * 3, [1.0] * 3)
    ours = build("fpn_detector", num_classes=3)
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    for model in (theirs, ours):  # with batch norms in eval, for both see the images twice
        model.train()
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
    image = images(2, 3, 64, 96)
    expected = theirs(list(image), [{"boxes": t.boxes, "labels": t.classes + 1} for t in TRUTH])
    loss = detection_loss("fpn_detector", ours, anchors=ALL, regions=ALL, box_beta=1 / 9)
    found = loss(ours(image), TRUTH)
    names = {
        "rpn_class": "loss_objectness",
        "rpn_box": "loss_rpn_box_reg",
        "class": "loss_classifier",
        "box": "loss_box_reg",
    }
    for ours_name, their_name in names.items():
        assert found[ours_name].item() == pytest.approx(expected[their_name].item(), rel=1e-4), ours_name
        assert found[ours_name] > 1e-3
    assert found["loss"].item() == pytest.approx(sum(expected.values()).item(), rel=1e-4)
    assert set(found) == {"loss", *names}


def test_what_proposes_gives_the_same_loss_as_the_whole_output() -> None:
    model = detector()
    loss = detection_loss("rfcn", model)
    whole = loss(model(images(2, 3, 64, 64)), TRUTH)
    part = loss(model.propose(images(2, 3, 64, 64)), TRUTH)
    for key in ("class", "box"):
        assert whole[key].item() == pytest.approx(part[key].item(), rel=1e-5)


def loop(
    found: Mapping[str, Tensor], rois: Tensor, labels: Sequence[int], boxes: Tensor, beta: float
) -> list[tuple[Tensor, Tensor]]:
    """The losses of class and box of each region, by arithmetic."""
    result = []
    for n, label in enumerate(labels):
        logits, (x1, y1, x2, y2), (a1, b1, a2, b2) = found["class_logits"][n], rois[n, 1:].tolist(), boxes[n].tolist()
        moves = torch.zeros(())
        if label > 0:
            w, h = x2 - x1, y2 - y1
            wanted = [
                ((a1 + a2) / 2 - (x1 + x2) / 2) / w / 0.1, ((b1 + b2) / 2 - (y1 + y2) / 2) / h / 0.1,
                math.log((a2 - a1) / w) / 0.2, math.log((b2 - b1) / h) / 0.2,
            ]  # fmt: skip
            deltas = found["box_deltas"][n]
            for value, goal in zip(deltas[0 if len(deltas) == 1 else label - 1], wanted, strict=True):
                d = (value - goal).abs()
                moves = moves + (d * d / 2 / beta if d < beta else d - beta / 2)
        result.append((logits.logsumexp(0) - logits[label], moves))
    return result


def overlap(a: list[float], b: list[float]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common)


@pytest.mark.parametrize("name", ["rfcn", "fpn_detector"])
@pytest.mark.parametrize("iou", [0.7, 0.3, None])
def test_ohem_is_a_plain_loop_and_so_are_its_gradients(name: str, iou: float | None) -> None:
    model = detector() if name == "rfcn" else pyramid()
    output = model(images(2, 3, 64, 64))
    loss = DetectionLoss(model.head, regions=6, ohem=True, ohem_iou=iou)  # type: ignore[arg-type]
    found = loss.region_losses(output, TRUTH)
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(found["class"] + found["box"], parameters, retain_graph=True, allow_unused=True)

    rois, labels, boxes = loss.regions_of(output["proposals"], TRUTH)
    assert len(rois) == len(output["proposals"]) + 3
    everything = loop(model.head(output["features"], rois), rois, labels.tolist(), boxes, 1.0)
    order = sorted(range(len(rois)), key=lambda n: -sum(everything[n]).item())
    kept: list[int] = []
    for n in order:
        rivals = [m for m in kept if rois[m, 0] == rois[n, 0] and labels[m] == labels[n]]
        if iou is None or all(overlap(rois[m, 1:].tolist(), rois[n, 1:].tolist()) <= iou for m in rivals):
            kept.append(n)
    kept = kept[:12]
    classes, moves = (sum(everything[n][i] for n in kept) / len(kept) for i in (0, 1))
    assert isinstance(classes, Tensor) and isinstance(moves, Tensor)
    assert found["class"].item() == pytest.approx(classes.item(), rel=1e-4)
    assert found["box"].item() == pytest.approx(moves.item(), rel=1e-4)
    assert len(kept) < len(rois) and moves > 0
    expected = torch.autograd.grad(classes + moves, parameters, allow_unused=True)
    compared = 0
    for ours, theirs in zip(gradients, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-4 * theirs.abs().max().item() + 1e-7, rtol=1e-3)
            compared += 1
    assert compared > 20


def pyramid() -> nn.Module:
    torch.manual_seed(0)
    sizes = (8, 12, 24, 32, 48)
    return build(
        "fpn_detector", 3, encoder="resnet10t", channels=16, hidden=16, anchor_sizes=sizes, proposals=30
    ).train()


@pytest.mark.parametrize("ohem", [True, False])
def test_gradients_come_from_the_chosen_regions_alone(ohem: bool) -> None:
    """A head that counts: the pass over all regions has no gradient, and the other has no more than B regions."""
    calls: list[tuple[int, bool]] = []

    def head(features: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        calls.append((len(rois), torch.is_grad_enabled()))
        scores = features[0][:, :4, 0, 0][rois[:, 0].long()] * (1 + rois[:, 1:2])
        return {"class_logits": scores, "box_deltas": torch.zeros(len(rois), 3, 4)}

    features, proposals = images(2, 4, 1, 1).requires_grad_(), torch.rand(50, 5).cumsum(1) * 20
    proposals[:, 0] = torch.arange(50) % 2
    loss = DetectionLoss(head, regions=5, ohem=ohem)
    loss({"features": [features], "proposals": proposals}, TRUTH)["loss"].backward()
    assert calls == ([(53, False), (10, True)] if ohem else [(10, True)])
    assert features.grad is not None and features.grad.any()


EMPTY = Objects.of([], [])
CROWD = Objects.of([[0.0, 0, 64, 64]], [1], crowd=[True])
OUTSIDE = Objects.of([[200.0, 200, 240, 260]], [1])
FLAT = Objects.of([[10.0, 10, 10, 30]], [1])
PARTLY = Objects.of([[-20.0, -20, 20, 20]], [0])


@pytest.mark.parametrize("name", sorted(LOSS_OPTIONS))
@pytest.mark.parametrize(
    "objects", [EMPTY, CROWD, OUTSIDE, FLAT, PARTLY], ids=["empty", "crowd", "outside", "flat", "partly"]
)
@pytest.mark.parametrize("ohem", [False, True])
def test_batches_with_little_in_them_train(name: str, objects: Objects, ohem: bool) -> None:
    torch.manual_seed(0)
    model = MODELS[name]
    model.zero_grad()
    output = model.propose(images(2, 3, 64, 64))
    found = detection_loss(name, model, ohem=ohem)(output, [objects, objects])
    found["loss"].backward()
    assert all(torch.isfinite(value) for value in found.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if objects is CROWD:
        assert found["class"] == 0 and found["box"] == 0
    if objects in (EMPTY, FLAT):
        assert found["class"] > 0 and found["box"] == 0


MODELS = {
    "deformable_rfcn": build("deformable_rfcn", 3, **SMALL),
    "fast_rcnn_vgg16": build("fast_rcnn_vgg16", 3, encoder="resnet10t", channels=16, window_sizes=(12, 24)),
    "fpn_detector": build("fpn_detector", 3, encoder="resnet10t", channels=16, hidden=16, proposals=30),
    "rfcn": build("rfcn", 3, **SMALL),
}


def test_no_regions_and_no_proposals_have_a_loss() -> None:
    model = detector()
    output = model.propose(images(1, 3, 64, 64))
    output["proposals"] = output["proposals"][:0]
    for ohem in (False, True):
        found = detection_loss("rfcn", model, ohem=ohem)(output, [EMPTY])
        assert found["class"] == 0 and found["box"] == 0 and found["loss"] > 0
        assert found["loss"].requires_grad


def test_options_of_the_papers() -> None:
    model = detector()
    fast = detection_loss("fast_rcnn_vgg16", model)
    assert (fast.regions, fast.least_background, fast.ohem) == (64, 0.1, False)
    mined = detection_loss("fast_rcnn_vgg16", model, ohem=True)
    assert (mined.least_background, mined.ohem_iou) == (0.0, 0.7)
    assert detection_loss("fast_rcnn_vgg16", model, ohem=True, least_background=0.2).least_background == 0.2
    assert detection_loss("rfcn", model).ohem and detection_loss("rfcn", model).ohem_iou is None


def test_errors_say_what_to_do() -> None:
    model = detector()
    with pytest.raises(UserError, match=r'There is no detector "rfnc"\. Did you mean "rfcn"\?'):
        detection_loss("rfnc", model)
    with pytest.raises(UserError, match=r'no option "region": it takes anchors, .* Did you mean "regions"\?'):
        detection_loss("rfcn", model, region=3)
    with pytest.raises(UserError, match="must be 1 or more; got 256 and 0"):
        detection_loss("rfcn", model, regions=0)
    with pytest.raises(UserError, match="the objects of 2 images; got those of 1"):
        detection_loss("rfcn", model)(model.propose(images(2, 3, 32, 32)), [EMPTY])
