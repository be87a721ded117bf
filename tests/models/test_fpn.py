"""The feature pyramid against a loop, and the semantic branch's plan."""

import torch
from torch import nn

from perpixel.models.fpn import FPN, FeaturePyramid


def test_pyramid_adds_what_lies_above() -> None:
    pyramid = FeaturePyramid((1, 1, 1), channels=1)
    for conv in [*pyramid.lateral, *pyramid.output]:
        nn.init.zeros_(conv.bias)
        nn.init.dirac_(conv.weight)
    stages = [torch.randn(1, 1, 8, 12), torch.randn(1, 1, 4, 6), torch.randn(1, 1, 2, 3)]
    fine, middle, coarse = pyramid(stages)
    for row in range(8):
        for column in range(12):
            above = stages[1][0, 0, row // 2, column // 2] + stages[2][0, 0, row // 4, column // 4]
            torch.testing.assert_close(fine[0, 0, row, column], stages[0][0, 0, row, column] + above)
    assert middle.shape == stages[1].shape
    torch.testing.assert_close(coarse, stages[2])


def test_branch_has_a_convolution_for_each_doubling() -> None:
    with torch.device("meta"):
        model = FPN(19)
    assert [len(stage.convs) for stage in model.branch.levels] == [1, 1, 2, 3]


def test_every_level_reaches_the_finest_size_in_steps_of_two() -> None:
    model = FPN(3, encoder="resnet18").eval()
    seen: list[list[int]] = []
    for stage in model.branch.levels:
        for conv in stage.convs:
            conv.register_forward_pre_hook(lambda _, args: seen.append(list(args[0].shape[-2:])))
    model(torch.randn(1, 3, 100, 72))  # stages of 25x18, 13x9, 7x5, 4x3
    assert seen == [[25, 18], [13, 9], [7, 5], [13, 9], [4, 3], [7, 5], [13, 9]]
