"""The detector on a pyramid against torchvision's Faster R-CNN: the same weights, the same boxes."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops.misc import FrozenBatchNorm2d
from torchvision.ops.poolers import LevelMapper

from perpixel.detection import build, choose
from perpixel.detection.fpn_detector import from_torchvision, level_of


@pytest.fixture(scope="module")
def theirs() -> FasterRCNN:
    """torchvision's, with weights under which classes, scores and batch norms differ."""
    torch.manual_seed(0)
    model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    for layer, std in (
        (model.roi_heads.box_predictor.cls_score, 0.05),
        (model.roi_heads.box_predictor.bbox_pred, 0.02),
    ):
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
    model.eval()
    with torch.no_grad():  # so that every class is somewhere the likeliest
        features = model.backbone(images(1, 3, 128, 192))
        boxes = [
            torch.rand(50, 2, generator=torch.Generator().manual_seed(2)).repeat(1, 2) * 90
            + torch.tensor([0, 0, 38, 38])
        ]
        pooled = model.roi_heads.box_roi_pool(features, boxes, [(128, 192)])
        predictor = model.roi_heads.box_predictor
        predictor.cls_score.bias -= predictor(model.roi_heads.box_head(pooled))[0].mean(0)
    return model


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(128, 192), (100, 165), (72, 131)])
def test_the_same_weights_give_the_same_logits_and_boxes(theirs: FasterRCNN, size: tuple[int, int]) -> None:
    ours = build("fpn_detector", num_classes=3).eval()
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    image = images(1, 3, *size)
    theirs.transform = GeneralizedRCNNTransform(min(size), 10_000, [0.0] * 3, [1.0] * 3)  # as it is, but padded
    with torch.no_grad():
        found = ours(image)
        (expected,) = theirs(list(image))
        padded, _ = theirs.transform(list(image))
        features = theirs.backbone(padded.tensors)
        objectness, deltas = theirs.rpn.head(list(features.values()))
        proposals, _ = theirs.rpn(padded, features)
        pooled = theirs.roi_heads.box_roi_pool(features, proposals, padded.image_sizes)
        logits, boxes = theirs.roi_heads.box_predictor(theirs.roi_heads.box_head(pooled))
    flat = [by_place(o, d) for o, d in zip(objectness, deltas, strict=True)]
    close(found["rpn_logits"][0], torch.cat([o for o, _ in flat]))
    close(found["rpn_deltas"][0], torch.cat([d for _, d in flat]))
    close(found["anchors"], theirs.rpn.anchor_generator(padded, list(features.values()))[0])
    close(found["proposals"][:, 1:], proposals[0])
    close(found["class_logits"], logits)
    close(found["box_deltas"], boxes.view(-1, 4, 4)[:, 1:])
    (chosen,) = choose(found, size)
    close(chosen.boxes, expected["boxes"])
    close(chosen.scores, expected["scores"])
    assert torch.equal(chosen.classes + 1, expected["labels"])
    assert len(chosen) > 20 and logits.std() > 0.1 and chosen.classes.unique().numel() > 1
    assert isinstance(padded, ImageList) and padded.tensors.shape[-1] % 32 == 0


def by_place(objectness: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
    """Rows, then columns, then anchors."""
    _, anchors, height, width = objectness.shape
    return objectness[0].permute(1, 2, 0).flatten(), deltas[0].view(anchors, 4, height, width).permute(
        2, 3, 0, 1
    ).reshape(-1, 4)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_weights_of_norms_without_epsilon_fit_too(theirs: FasterRCNN) -> None:
    """torchvision's network of the weights COCO_V1 has frozen norms whose epsilon is 0, and no count of batches."""
    state = {key: value for key, value in theirs.state_dict().items() if "num_batches" not in key}
    frozen = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4)
    convert(frozen)
    frozen.load_state_dict(state)
    frozen.backbone.body.bn1.running_var *= 1e-4  # so that an epsilon of 1e-5 would be seen
    ours = build("fpn_detector", num_classes=3).eval()
    ours.load_state_dict(from_torchvision(frozen.state_dict(), norm_eps=0.0))
    image = images(1, 3, 64, 64)
    with torch.no_grad():
        levels = frozen.eval().backbone(image)
        found = ours.propose(image)["features"]
        ours.load_state_dict(from_torchvision(frozen.state_dict()))
        unmoved = ours.propose(image)["features"]
    for level, wrong, expected in zip(found, unmoved, list(levels.values())[:4], strict=True):
        error, worse = ((x - expected).abs().max() / expected.std() for x in (level, wrong))
        assert error < 1e-4 and worse > 1e-3


def convert(module: nn.Module) -> None:
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(part.num_features, eps=0.0))
        convert(part)


def test_older_weights_have_shorter_names(theirs: FasterRCNN) -> None:
    state = theirs.state_dict()
    older = {shorter(key): value for key, value in state.items()}
    assert len([key for key in older if key not in state]) == 18
    assert from_torchvision(older).keys() == from_torchvision(state).keys()


def shorter(key: str) -> str:
    if key.startswith("rpn.head"):
        return key.replace(".0.0.", ".")
    return key.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if key.startswith("backbone.fpn") else key


def test_levels_are_torchvisions() -> None:
    sides = torch.tensor([0.0, 1.0, 100.0, 111.9, 112.0, 223.9, 224.0, 447.9, 448.0, 900.0, 5000.0])
    boxes = torch.stack([torch.zeros_like(sides), torch.zeros_like(sides), sides, sides], dim=1)
    assert level_of(boxes).tolist() == LevelMapper(2, 5)([boxes]).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
