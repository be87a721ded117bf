"""Dilated residual networks: counts, dilations, strides, and the missing shortcuts."""

from functools import cache

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.layers.residual import ResidualBlock
from perpixel.models import MODELS
from perpixel.models.backbones.drn import ARCHITECTURES, DRN, DRNClassifier

CLASSIFIERS = {  # at 1000 classes; B-26 differs from C-26 in additions only
    "drn_a_18": 11_689_512,
    "drn_a_34": 21_797_672,
    "drn_a_50": 25_557_032,
    "drn_b_26": 21_126_584,
    "drn_c_26": 21_126_584,
    "drn_c_42": 31_234_744,
    "drn_c_58": 41_591_608,
    "drn_d_22": 16_393_752,
    "drn_d_24": 21_114_392,
    "drn_d_38": 26_501_912,
    "drn_d_40": 31_222_552,
    "drn_d_54": 35_809_176,
    "drn_d_56": 40_529_816,
    "drn_d_105": 54_801_304,
    "drn_d_107": 59_521_944,
}


@cache
def on_meta(name: str) -> DRNClassifier:
    with torch.device("meta"):
        return DRNClassifier(name)


def test_every_architecture_is_a_network_of_the_catalog() -> None:
    assert list(CLASSIFIERS) == list(ARCHITECTURES)
    assert {name for name in MODELS if name.startswith("drn")} == {*CLASSIFIERS, "drn_timm"}
    assert len(CLASSIFIERS) == 15
    assert all(MODELS[name].__name__ == name for name in CLASSIFIERS)
    with pytest.raises(UserError, match=r'no dilated residual network "drn_d_23". Did you mean'):
        DRN("drn_d_23")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_have_the_authors_parameters(name: str) -> None:
    assert sum(p.numel() for p in on_meta(name).parameters()) == CLASSIFIERS[name]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_name_counts_the_layers(name: str) -> None:
    layers = [
        part
        for path, part in on_meta(name).named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear) and "shortcut" not in path and "unused" not in path
    ]
    assert len(layers) == int(name.rpartition("_")[2])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_maps_have_the_channels_and_strides_that_the_trunk_says(name: str) -> None:
    with torch.device("meta"):
        trunk, image = on_meta(name).trunk, torch.empty(2, 3, 225, 61)
    shapes = [(m.shape[1], m.shape[2], m.shape[3]) for m in trunk(image)]
    expected = [(c, -(-225 // s), -(-61 // s)) for c, s in zip(trunk.channels, trunk.strides, strict=True)]
    assert shapes == expected
    assert trunk.strides[-1] == 8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("drn_a_18", [{1}, {1}, {1, 2}, {1, 4}]),
        ("drn_b_26", [{1}, {1}, {1}, {1}, {2}, {4}, {2}, {1}]),
        ("drn_c_58", [{1}, {1}, {1}, {1}, {2}, {4}, {2}, {1}]),
        ("drn_d_24", [{1}, {1}, {1}, {1}, {2}, {4}, {2}, {1}]),
        ("drn_d_105", [{1}, {1}, {1}, {1}, {2}, {4}, {2}, {1}]),
    ],
)
def test_dilations_of_the_levels(name: str, expected: list[set[int]]) -> None:
    levels = on_meta(name).trunk.levels
    found = [
        {part.dilation[0] for part in level.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)}
        for level in levels
    ]
    assert found == expected


def test_in_a_only_the_first_block_of_a_stage_is_not_dilated() -> None:
    stage = on_meta("drn_a_34").trunk.levels[3]
    convs = [[c.dilation[0] for c in block.modules() if isinstance(c, nn.Conv2d)] for block in stage]
    assert convs == [[1, 1, 1], [4, 4], [4, 4]]  # the third of the first block is its 1x1 shortcut


@pytest.mark.parametrize(
    ("name", "passes"), [("drn_b_26", True), ("drn_c_26", False), ("drn_c_58", False), ("drn_d_22", False)]
)
def test_degridding_has_no_path_around_its_convolutions(name: str, passes: bool) -> None:
    """With the last two levels' convolutions silenced, only what goes around them arrives."""
    torch.manual_seed(0)
    trunk = DRN(name, width=0.125).eval()
    for level in trunk.levels[6:]:
        for part in level.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.zeros_(part.weight)
    with torch.no_grad():
        *_, level6, _, level8 = trunk(torch.randn(1, 3, 32, 32))
    assert level6.any()
    assert bool(level8.any()) == passes
    if passes:
        torch.testing.assert_close(level8, level6)


def test_which_blocks_have_no_shortcut() -> None:
    without = {
        name: [
            number
            for number, level in enumerate(on_meta(name).trunk.levels, start=1)
            if any(isinstance(block, ResidualBlock) and not block.residual for block in level)
        ]
        for name in CLASSIFIERS
    }
    assert {name for name, levels in without.items() if levels} == {"drn_c_26", "drn_c_42", "drn_c_58"}
    assert without["drn_c_42"] == [7, 8]


def test_only_c58_holds_a_projection_that_it_never_uses() -> None:
    unused = {name: on_meta(name).trunk.unused for name in CLASSIFIERS}
    assert [name for name, part in unused.items() if part is not None] == ["drn_c_58"]
    part = unused["drn_c_58"]
    assert sum(p.numel() for p in part.parameters()) == 1_049_600
    assert not any(p.requires_grad for p in part.parameters())


@pytest.mark.parametrize("size", [(1, 1), (30, 45)], ids=str)
def test_classifiers_take_any_size(size: tuple[int, int]) -> None:
    model = DRNClassifier("drn_d_22", num_classes=7, in_channels=2, width=0.125).train()
    scores = model(torch.randn(1, 2, *size))
    assert scores.shape == (1, 7)
    assert torch.isfinite(scores).all()


def test_initial_weights_have_the_deviation_of_the_authors() -> None:
    torch.manual_seed(0)
    conv = DRN("drn_d_22", width=0.5).levels[4][0].convs[0].conv
    assert conv.weight.shape == (128, 64, 3, 3)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.01)  # of the outputs
