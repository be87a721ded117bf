"""HRNet: its multiply-adds, its branches, and the exchange between them against a sum by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from perpixel.models import MODELS
from perpixel.models.hrnet import HighResolutionModule, HRNet, hrnet_w18_small_v1

NAMES = ("hrnet_w18", "hrnet_w18_small_v1", "hrnet_w18_small_v2", "hrnet_w32", "hrnet_w40", "hrnet_w48")


def test_the_catalog_has_every_width() -> None:
    assert tuple(name for name in MODELS if name.startswith("hrnet")) == NAMES
    assert all(MODELS[name].__name__ == name for name in NAMES)


@pytest.mark.parametrize(
    ("name", "published"), [("hrnet_w48", 696.2), ("hrnet_w18_small_v1", 31.1), ("hrnet_w18_small_v2", 71.6)]
)
def test_multiply_adds(name: str, published: float) -> None:
    with torch.device("meta"):
        model, image = MODELS[name](19).eval(), torch.empty(1, 3, 1024, 2048)
    with FlopCounterMode(display=False) as counter:
        model(image)
    assert counter.get_total_flops() / 2 / 2**30 == pytest.approx(published, abs=0.06)  # the authors' G is 2**30


@pytest.mark.parametrize(
    ("name", "bottlenecks", "blocks", "modules", "width"),
    [
        ("hrnet_w18", 4, 4, (1, 4, 3), 18),
        ("hrnet_w40", 4, 4, (1, 4, 3), 40),
        ("hrnet_w18_small_v1", 1, 2, (1, 1, 1), 16),
        ("hrnet_w18_small_v2", 2, 2, (1, 3, 2), 18),
    ],
)
def test_the_plan_of_the_stages(name: str, bottlenecks: int, blocks: int, modules: tuple[int, ...], width: int) -> None:
    with torch.device("meta"):
        model = MODELS[name](19)
    assert len(model.stage1) == bottlenecks
    assert tuple(len(stage) for stage in model.stages) == modules
    branches = [[len(module.branches) for module in stage] for stage in model.stages]
    assert branches == [[2] * modules[0], [3] * modules[1], [4] * modules[2]]
    assert {len(branch) for stage in model.stages for module in stage for branch in module.branches} == {blocks}
    assert (model.head[0].in_channels, model.head[0].out_channels) == (15 * width, 15 * width)
    assert model.head[0].bias is not None


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_exchange_is_a_sum_over_branches(align_corners: bool) -> None:
    torch.manual_seed(0)
    module = HighResolutionModule((4, 8, 16), blocks=0, align_corners=align_corners).eval()
    maps = [torch.randn(2, 4, 11, 7), torch.randn(2, 8, 6, 4), torch.randn(2, 16, 3, 2)]
    with torch.no_grad():
        found = module(maps)
        for target in range(3):
            total = maps[target].clone()
            for source in range(3):
                if source < target:
                    total += down(module.fuse[target][source], maps[source], target - source)
                elif source > target:
                    total += up(module.fuse[target][source], maps[source], total.shape[-2:], align_corners)
            torch.testing.assert_close(found[target], total.clamp(min=0))


def down(convs: nn.Module, x: torch.Tensor, halvings: int) -> torch.Tensor:
    """A ReLU between strided convolutions, and none behind the last."""
    kernels = [p for p in convs.parameters() if p.dim() == 4]
    assert len(kernels) == halvings
    for step, kernel in enumerate(kernels):
        x = F.conv2d(F.relu(x) if step else x, kernel, stride=2, padding=1) / (1 + 1e-5) ** 0.5  # an untrained norm
    return x


def up(conv: nn.Module, x: torch.Tensor, size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    (kernel,) = (p for p in conv.parameters() if p.dim() == 4)
    x = F.conv2d(x, kernel) / (1 + 1e-5) ** 0.5
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def test_a_new_branch_starts_from_the_lowest() -> None:
    model = hrnet_w18_small_v1(3).eval()
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for branch in model.new_branches:
        branch.register_forward_hook(lambda _, args, out: seen.append((tuple(args[0].shape[1:]), tuple(out.shape[1:]))))
    sizes: list[list[tuple[int, ...]]] = []
    model.stages[2][0].register_forward_hook(lambda _, __, out: sizes.append([tuple(m.shape[1:]) for m in out]))
    with torch.no_grad():
        model(torch.randn(1, 3, 100, 72))
    assert seen == [((128, 25, 18), (32, 13, 9)), ((32, 13, 9), (64, 7, 5)), ((64, 7, 5), (128, 4, 3))]
    assert sizes == [[(16, 25, 18), (32, 13, 9), (64, 7, 5), (128, 4, 3)]]


def test_the_finest_branch_is_never_strided() -> None:
    with torch.device("meta"):
        model = HRNet(19)
    finest = [conv for stage in model.stages for m in stage for conv in m.branches[0].modules()]
    strides = {conv.stride for conv in finest if isinstance(conv, nn.Conv2d)}
    assert strides == {(1, 1)}
    assert model.transition1.conv.stride == (1, 1)


def test_initial_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    model = hrnet_w18_small_v1(19)
    for conv in (model.stem[1].conv, model.head[0], model.stages[2][0].fuse[3][0][0].conv):
        assert conv.weight.std().item() == pytest.approx(1e-3, rel=0.05)
