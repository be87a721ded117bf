"""Semantic FPN: a feature pyramid, and one light branch for each of its levels, added at stride 4.

Kirillov, Girshick, He, Dollár, "Panoptic Feature Pyramid Networks", CVPR 2019, arXiv:1901.02446 (the semantic branch);
Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv:1612.03144 (the pyramid).

    image B,C,H,W
      │
    encoder          feature pyramid                       semantic branch
    C2 H/4  ─── 1x1 ─(+)────────────── 3x3 ─ P2 256,H/4   ─ conv ─────────────── 128,H/4 ─┐
                      ↑ x2                                                                │
    C3 H/8  ─── 1x1 ─(+)────────────── 3x3 ─ P3 256,H/8   ─ (conv, x2) ───────── 128,H/4 ─┤
                      ↑ x2                                                                │
    C4 H/16 ─── 1x1 ─(+)────────────── 3x3 ─ P4 256,H/16  ─ (conv, x2) twice ─── 128,H/4 ─┤
                      ↑ x2                                                                │
    C5 H/32 ─── 1x1 ──┴─────────────── 3x3 ─ P5 256,H/32  ─ (conv, x2) thrice ── 128,H/4 ─┤
                                                                                         (+)
                                                            logits B,K,H,W ─ resize ─ 1x1 ┘

Differs from the paper:
- Any encoder of timm that has stages of stride 4, 8, 16 and 32, not ResNet and ResNeXt alone. Its batch norms train;
  detectors, where the pyramid comes from, freeze them.
- "x2" means: to the size of the next finer level. The two are the same for sizes that 32 divides.
- Images are padded to a multiple of 4, and to 64 x 64 at least, by repeating the border; the logits are cut.
- The pyramid's level P6 is absent: only detectors use it.
"""

from torch import Tensor, nn

from perpixel.core import Size
from perpixel.layers.feature_pyramid import FeaturePyramid, size_of
from perpixel.layers.init import kaiming_init
from perpixel.layers.resize import resize
from perpixel.models.backbones.timm_encoder import TimmEncoder


class FPN(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`.

    Options: `encoder`, a name of `timm.list_models()`; `pretrained`, whether to load its ImageNet weights, from the
    local cache or the network. Raises `UserError` for an encoder or weights that cannot be had.
    """

    backbone_names = ("encoder",)

    def __init__(
        self, num_classes: int, in_channels: int = 3, encoder: str = "resnet50", pretrained: bool | str = False
    ) -> None:
        super().__init__()
        self.encoder = TimmEncoder(encoder, in_channels, pretrained, strides=(4, 8, 16, 32))
        self.pyramid = FeaturePyramid(self.encoder.channels, 256)
        self.branch = SemanticBranch(256, 128, levels=4)
        self.score = nn.Conv2d(128, num_classes, 1)
        for part in (self.pyramid, self.branch, self.score):
            kaiming_init(part)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2], image.shape[-1]
        image = self.encoder.extend(image)
        stages = self.encoder(image)  # B,256,H/4,W/4 to B,2048,H/32,W/32
        levels = self.pyramid(stages)  # B,256,H/4,W/4 to B,256,H/32,W/32
        scores = self.score(self.branch(levels))  # B,K,H/4,W/4
        logits = resize(scores, (image.shape[-2], image.shape[-1]), align_corners=False)
        return {"logits": logits[..., :height, :width]}  # B,K,H,W


class SemanticBranch(nn.Module):
    """Brings every level of the pyramid to the finest one's size in steps of two, and adds them."""

    def __init__(self, in_channels: int, channels: int, levels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(UpsamplingStage(in_channels, channels, doublings=i) for i in range(levels))

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels, finest first, `(B, in_channels, h_i, w_i)` -> `(B, channels, h_0, w_0)`."""
        sizes = [size_of(level) for level in levels]
        total = self.levels[0](levels[0], [])
        for i in range(1, len(levels)):
            total = total + self.levels[i](levels[i], sizes[i - 1 :: -1])
        return total


class UpsamplingStage(nn.Module):
    """As many times as there are doublings: convolution, resize. The finest level has none, and one convolution."""

    def __init__(self, in_channels: int, channels: int, doublings: int) -> None:
        super().__init__()
        inputs = [in_channels] + [channels] * (doublings - 1)
        self.convs = nn.ModuleList(conv_group_norm(i, channels) for i in inputs)

    def forward(self, x: Tensor, sizes: list[Size]) -> Tensor:
        """`(B, in_channels, h, w)` and the size after each convolution -> `(B, channels, *sizes[-1])`."""
        for step, conv in enumerate(self.convs):
            x = conv(x)
            if step < len(sizes):
                x = resize(x, sizes[step], align_corners=False)
        return x


def conv_group_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution without bias, group norm of 32 groups, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.GroupNorm(32, out_channels, eps=1e-5),
        nn.ReLU(inplace=True),
    )
