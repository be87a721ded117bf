"""HRNetV2: a map at a quarter of the image from end to end, coarser maps beside it, and steady exchange between them.

Wang, Sun et al., "Deep High-Resolution Representation Learning for Visual Recognition", PAMI 2020, arXiv:1908.07919;
Sun et al., "High-Resolution Representations for Labeling Pixels and Regions", 2019, arXiv:1904.04514.

    image B,C,H,W
      │
    stem: 3x3 stride 2, twice ─ B,64,H/4,W/4 ─ stage 1: bottlenecks ─ B,256,H/4,W/4
      │
      ├──── w,H/4 ── stage 2 ─┬── stage 3 ─┬── stage 4 ─────────────────────┐
      └─── 2w,H/8 ── stage 2 ─┼── stage 3 ─┼── stage 4 ─ resize ────────────┤
                         4w,H/16─ stage 3 ─┼── stage 4 ─ resize ────────────┤
                                      8w,H/32─ stage 4 ─ resize ────────── concat B,15w,H/4,W/4
                                                                            │
                                            logits B,K,H,W ─ resize ─ 1x1 ─ 1x1, BN, ReLU

A stage is some modules; a module, some basic blocks in each branch and then the exchange, in which every branch gets
the sum of all. What the papers leave open is that of the authors' code (github.com/HRNet/HRNet-Semantic-Segmentation).

Differs from the paper:
- Weights are fresh, by the authors' initialisation, not ImageNet's.
- Any size: every resize goes to the size of the map it meets, not by a factor.
- Batch norms are not synchronised, and one value a channel (one image of 32 x 32 or less) is normalised by the running
  statistics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perpixel.layers.conv import conv_norm_act
from perpixel.layers.norm import BatchNorm2d
from perpixel.layers.residual import ResidualBlock, residual_stage
from perpixel.layers.resize import resize


class HRNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `width`, the channels w of the finest branch; `first`, the number of bottlenecks of stage 1 and their inner
    channels; `modules`, of stages 2, 3 and 4; `blocks`, of each branch of a module; `align_corners`, of every resize:
    False in the authors' Cityscapes configurations, True in those of ADE20K and COCO-Stuff; `align_logits`, of the last
    resize where it is not as the others: MSeg's has True there alone.
    """

    backbone_names = ("stem", "stage1", "transition1", "new_branches", "stages")

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 48,
        first: tuple[int, int] = (4, 64),
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        align_corners: bool = False,
        align_logits: bool | None = None,
    ) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width, 8 * width]
        count, inner = first
        self.align_corners = align_corners
        self.align_logits = align_corners if align_logits is None else align_logits
        self.stem = nn.Sequential(conv_norm_act(in_channels, 64, 3, stride=2), conv_norm_act(64, 64, 3, stride=2))
        self.stage1 = residual_stage("bottleneck", 64, inner, count)
        self.transition1 = conv_norm_act(4 * inner, channels[0], 3)
        coarser = (4 * inner, channels[1], channels[2])
        self.new_branches = nn.ModuleList(
            conv_norm_act(i, o, 3, stride=2) for i, o in zip(coarser, channels[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(HighResolutionModule(channels[:branches], blocks, align_corners) for _ in range(number))
            for branches, number in zip((2, 3, 4), modules, strict=True)
        )
        self.head = head(sum(channels), num_classes)
        small_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.stage1(self.stem(image))  # B,256,H/4,W/4
        maps = [self.transition1(x)]  # B,w,H/4,W/4
        for new_branch, stage in zip(self.new_branches, self.stages, strict=True):
            maps.append(new_branch(x))  # from the lowest map so far
            assert isinstance(stage, nn.ModuleList)
            for module in stage:
                maps = module(maps)
            x = maps[-1]
        size = (maps[0].shape[-2], maps[0].shape[-1])
        fine = [maps[0], *(resize(m, size, align_corners=self.align_corners) for m in maps[1:])]
        scores = self.head(torch.cat(fine, dim=1))  # B,K,H/4,W/4
        return {"logits": resize(scores, (image.shape[-2], image.shape[-1]), align_corners=self.align_logits)}


class HighResolutionModule(nn.Module):
    """Basic blocks in each branch, then the exchange: maps `(B, channels[i], h_i, w_i)` -> maps of the same shapes.

    Branches stand finest first, each of half the size of the one before it, rounded up.
    """

    def __init__(self, channels: Sequence[int], blocks: int, align_corners: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualBlock("basic", c, c) for _ in range(blocks))) for c in channels
        )
        self.fuse = nn.ModuleList(
            nn.ModuleList(exchange(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )
        self.relu = nn.ReLU(inplace=True)
        self.align_corners = align_corners

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [self.relu(self.sum_for(target, maps)) for target in range(len(maps))]

    def sum_for(self, target: int, maps: list[Tensor]) -> Tensor:
        """All maps, brought to channels and size of branch `target`, and added."""
        size = (maps[target].shape[-2], maps[target].shape[-1])
        converters = self.fuse[target]
        assert isinstance(converters, nn.ModuleList)
        converted = [convert(x) for convert, x in zip(converters, maps, strict=True)]
        coarser = [resize(x, size, align_corners=self.align_corners) for x in converted[target + 1 :]]
        return torch.stack([*converted[: target + 1], *coarser]).sum(dim=0)


def exchange(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """What makes branch `source` into branch `target`, but for the resize of a coarser one: a 1x1 convolution, or a
    strided 3x3 for every halving, of which the last changes the channels and has no ReLU."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_norm_act(channels[source], channels[target], 1, act=False)
    inputs = channels[source]
    halvings = [conv_norm_act(inputs, inputs, 3, stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, conv_norm_act(inputs, channels[target], 3, stride=2, act=False))


def head(channels: int, num_classes: int) -> nn.Sequential:
    """`(B, channels, h, w)` -> `(B, K, h, w)`. The first bias is useless in front of a batch norm, and the authors'."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1),
        BatchNorm2d(channels, eps=1e-5, momentum=0.1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, num_classes, 1),
    )


def small_init(module: nn.Module) -> None:
    """Normal weights of standard deviation 0.001 for every convolution; PyTorch's own biases stay."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, mean=0.0, std=0.001)


def hrnet_w18(
    num_classes: int, in_channels: int = 3, align_corners: bool = False, align_logits: bool | None = None
) -> HRNet:
    """HRNetV2-W18: 9.6 million parameters."""
    return HRNet(num_classes, in_channels, 18, align_corners=align_corners, align_logits=align_logits)


def hrnet_w32(
    num_classes: int, in_channels: int = 3, align_corners: bool = False, align_logits: bool | None = None
) -> HRNet:
    """HRNetV2-W32: 29.5 million parameters."""
    return HRNet(num_classes, in_channels, 32, align_corners=align_corners, align_logits=align_logits)


def hrnet_w40(
    num_classes: int, in_channels: int = 3, align_corners: bool = False, align_logits: bool | None = None
) -> HRNet:
    """HRNetV2-W40: 45.9 million parameters, by the authors' code; their paper says 45.2."""
    return HRNet(num_classes, in_channels, 40, align_corners=align_corners, align_logits=align_logits)


def hrnet_w48(
    num_classes: int, in_channels: int = 3, align_corners: bool = False, align_logits: bool | None = None
) -> HRNet:
    """HRNetV2-W48: 65.9 million parameters."""
    return HRNet(num_classes, in_channels, 48, align_corners=align_corners, align_logits=align_logits)


def hrnet_w18_small_v1(
    num_classes: int, in_channels: int = 3, align_corners: bool = False, align_logits: bool | None = None
) -> HRNet:
    """HRNet-W18-Small-v1, whose finest branch has 16 channels all the same: 1.5 million parameters."""
    return HRNet(num_classes, in_channels, 16, (1, 32), (1, 1, 1), 2, align_corners, align_logits)


def hrnet_w18_small_v2(
    num_classes: int, in_channels: int = 3, align_corners: bool = False, align_logits: bool | None = None
) -> HRNet:
    """HRNet-W18-Small-v2: 3.9 million parameters."""
    return HRNet(num_classes, in_channels, 18, (2, 64), (1, 3, 2), 2, align_corners, align_logits)
