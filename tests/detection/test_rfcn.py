"""R-FCN and its deformable form: votes, what they share, and where which convolutions deform."""

import pytest
import torch
from torch import Tensor, nn

from perpixel.detection import build
from perpixel.detection.operators import deformable_ps_roi_pool
from perpixel.layers.deformable import DeformableConv2d

SMALL = {"encoder": "resnet18", "channels": 16, "group": 3, "anchor_sizes": (16, 32), "proposals": 20}


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_a_box_that_lies_right_gets_every_vote() -> None:
    """Score maps by hand: map (i, j) of class 1 is 1 where that part of the object in rows and columns 2 to 4 lies."""
    model = build("rfcn", 1, **SMALL)
    maps = torch.zeros(1, 2 * 9, 8, 8)
    for i in range(3):
        for j in range(3):
            maps[0, 9 + 3 * i + j, 2 + i, 2 + j] = 1.0
    rois = torch.tensor([[0.0, 32, 32, 80, 80], [0.0, 48, 32, 96, 80]])
    features = [maps, torch.zeros(1, 8 * 9, 8, 8)]
    logits = model.head(features, rois)["class_logits"]
    assert model.votes(features, rois)[0, 1].tolist() == [[1.0] * 3] * 3
    assert logits.tolist() == [[0.0, 1.0], [0.0, 0.0]]


def test_classes_share_the_second_four_deltas() -> None:
    model = build("rfcn", 5, **SMALL)
    boxes = torch.arange(8.0).repeat_interleave(9).view(1, 72, 1, 1).expand(1, 72, 4, 4)
    found = model.head([torch.zeros(1, 6 * 9, 4, 4), boxes], torch.tensor([[0.0, 0, 0, 64, 64]]))
    assert found["box_deltas"].tolist() == [[[4.0, 5.0, 6.0, 7.0]]]


def test_proposals_come_from_stage_4_and_scores_from_stage_5() -> None:
    with torch.device("meta"):
        model = build("rfcn", 20)
    assert (model.rpn.conv.in_channels, model.reduce.in_channels) == (1024, 2048)
    stages = model.encoder(torch.empty(1, 3, 608, 1008, device="meta"))
    assert [tuple(stage.shape[1:]) for stage in stages] == [(1024, 38, 63), (2048, 38, 63)]
    assert model.rpn.cells.shape == (1, 9, 4) and model.score_maps.out_channels == 1029
    dilated = {n for n, p in model.encoder.named_modules() if isinstance(p, nn.Conv2d) and p.dilation == (2, 2)}
    assert dilated == {"encoder.layer4.1.conv2", "encoder.layer4.2.conv2"}


def test_the_deformable_layers_are_those_of_the_authors() -> None:
    with torch.device("meta"):
        model = build("deformable_rfcn", 20)
    layers = {n: p for n, p in model.encoder.named_modules() if isinstance(p, DeformableConv2d)}
    assert list(layers) == [f"encoder.layer4.{block}.conv2" for block in range(3)]
    assert all(p.weight.shape == (512, 512, 3, 3) and p.offset.out_channels == 72 for p in layers.values())
    assert [p.offset.dilation for p in layers.values()] == [(1, 1), (2, 2), (2, 2)]
    assert (model.score_offsets.out_channels, model.box_offsets.out_channels) == (2058, 98)


def test_it_starts_as_rfcn_whose_parts_are_means_of_points() -> None:
    torch.manual_seed(0)
    plain = build("rfcn", 3, **SMALL).eval()
    nn.init.normal_(plain.score_maps.weight, std=1.0)
    model = build("deformable_rfcn", 3, **SMALL).eval()
    keys = model.load_state_dict(plain.state_dict(), strict=False)
    assert keys.unexpected_keys == [] and all("offset" in key for key in keys.missing_keys)
    with torch.no_grad():
        found, expected = model(images(2, 3, 64, 80)), plain(images(2, 3, 64, 80))
        for key in ("rpn_logits", "rpn_deltas", "proposals"):
            torch.testing.assert_close(found[key], expected[key], atol=1e-4, rtol=1e-4)
        scores = deformable_ps_roi_pool(expected["features"][0], expected["proposals"], None, 3, 16)
    torch.testing.assert_close(found["class_logits"], scores.mean((2, 3)), atol=1e-4, rtol=1e-4)
    assert scores.std() > 0.03


def test_offsets_move_the_votes_of_their_own_class() -> None:
    torch.manual_seed(0)
    model = build("deformable_rfcn", 2, **SMALL).eval()
    features = [images(1, n * 9, 6, 6) for n in (3, 8, 6, 2)]
    rois = torch.tensor([[0.0, 10, 12, 70, 80]])
    features[2].zero_()
    before = model.votes(features, rois)
    features[2][:, 2 * 9 : 4 * 9] = 1.0  # both directions of class 0, which is the second after the background
    after = model.votes(features, rois)
    changed = (before - after).abs().amax((0, 2, 3)) > 1e-4
    assert changed.tolist() == [False, True, False]
    by_hand = deformable_ps_roi_pool(features[0][:, 9:18], rois, torch.ones(1, 2, 3, 3), 3, 16)
    torch.testing.assert_close(after[:, 1:2], by_hand, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["rfcn", "deformable_rfcn", "fpn_detector"])
def test_frozen_norms_keep_what_they_have(name: str) -> None:
    options = {"encoder": "resnet18", "channels": 16} | ({"hidden": 16} if name == "fpn_detector" else {"group": 3})
    model = build(name, 2, **options, frozen_norms=True).train()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    norms = {key: value.clone() for key, value in model.state_dict().items() if ".bn" in key}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model.propose(images(2, 3, 64, 64))["features"][0].square().sum().backward()
    optimiser.step()
    assert len(norms) > 60
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in norms.items())


def test_a_stride_of_8_has_four_times_the_places() -> None:
    model = build("rfcn", 2, **SMALL, stride=8)
    output = model.propose(images(1, 3, 64, 64))
    assert output["features"][0].shape[-2:] == (8, 8)
    assert len(output["anchors"]) == 8 * 8 * 6
    middles = (output["anchors"][::6, :2] + output["anchors"][::6, 2:]) / 2
    assert middles[:9].tolist() == [[8 * i + 4.0, 4.0] for i in range(8)] + [[4.0, 12.0]]
