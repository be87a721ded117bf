"""PSPNet's sizes, dilations and corners, and its auxiliary head."""

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.backbones.dilated_resnet import DilatedResNet
from perpixel.models.pspnet import PSPNet


@pytest.mark.parametrize(("size", "expected"), [(473, 60), (713, 90), (9, 2), (1, 1)])
def test_maps_have_the_sizes_of_the_papers_crops(size: int, expected: int) -> None:
    with torch.device("meta"):
        backbone, image = DilatedResNet(50), torch.empty(2, 3, size, size)
    stages = backbone(image)
    assert [stage.shape[1] for stage in stages] == [256, 512, 1024, 2048] == list(backbone.channels)
    assert [stage.shape[-1] for stage in stages[1:]] == [expected] * 3


@pytest.mark.parametrize(("depth", "blocks"), [(50, [3, 4, 6, 3]), (101, [3, 4, 23, 3]), (152, [3, 8, 36, 3])])
def test_dilations_and_strides_of_the_stages(depth: int, blocks: list[int]) -> None:
    with torch.device("meta"):
        backbone = DilatedResNet(depth)
    assert [len(stage) for stage in backbone.stages] == blocks
    convs = [[c for c in stage.modules() if isinstance(c, nn.Conv2d)] for stage in backbone.stages]
    threes = [[c for c in stage if c.kernel_size == (3, 3)] for stage in convs]
    assert [{c.dilation for c in stage} for stage in threes] == [{(1, 1)}, {(1, 1)}, {(2, 2)}, {(4, 4)}]
    assert [sum(c.stride == (2, 2) for c in stage) for stage in convs] == [0, 2, 0, 0]  # a 3x3, and its shortcut
    assert threes[1][0].stride == (2, 2)


def test_corners_of_map_and_image_coincide() -> None:
    torch.manual_seed(0)
    model = PSPNet(3, width=4).eval()
    scores: list[torch.Tensor] = []
    model.head.register_forward_hook(lambda _, __, output: scores.append(output))
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 25, 33))["logits"]
    assert scores[0].shape == (1, 3, 4, 5)
    torch.testing.assert_close(logits[..., ::8, ::8], scores[0])


def test_other_sizes_are_cut_from_the_next_crop() -> None:
    torch.manual_seed(0)
    model, image = PSPNet(3, aux=True, width=4).eval(), torch.randn(1, 3, 18, 26)
    padded = torch.nn.functional.pad(image, (0, 7, 0, 7), mode="replicate")
    with torch.no_grad():
        found, expected = model(image), model(padded)
    for key in ("logits", "aux"):
        torch.testing.assert_close(found[key], expected[key][..., :18, :26])


def test_the_auxiliary_head_sees_stage_three() -> None:
    model = PSPNet(3, aux=True, width=4)
    model(torch.randn(2, 3, 33, 33))["aux"].sum().backward()
    reached = {name.split(".")[2] for name, p in model.named_parameters() if "stages" in name and p.grad is not None}
    assert reached == {"0", "1", "2"}
    assert all(p.grad is None for p in model.head.parameters())
    assert list(PSPNet(3, width=4)(torch.randn(2, 3, 33, 33))) == ["logits"]


def test_other_depths_are_refused() -> None:
    with pytest.raises(UserError, match="depth must be one of 50, 101, 152; got 18"):
        PSPNet(3, depth=18)
