"""Fast-SCNN: two branches that share their first three layers.

Poudel, Liwicki, Cipolla, "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019, arXiv:1902.04502.

    image B,C,H,W
      │
    learning to downsample: Conv, DSConv, DSConv
      │ B,64,H/8,W/8
      ├─────────────────────────────┐
      │                           global feature extractor: 9 bottlenecks, pyramid pooling
      │                             │ B,128,H/32,W/32
     1x1                          resize, DWConv, 1x1
      └────────────(+)──────────────┘
                    │ B,128,H/8,W/8
                  classifier: DSConv, DSConv, dropout, 1x1
                    │ B,K,H/8,W/8
                  resize ─ logits B,K,H,W

Differs from the paper:
- Sizes need not be multiples of 32: every resize goes to the size of the map it meets, not by a factor.
- One auxiliary head (`aux=True`), on the learning-to-downsample module. The paper trains with a second one on the
  global feature extractor. The head has the layers of Tramac's port (github.com/Tramac/Fast-SCNN-pytorch).
- A batch norm stays between the two convolutions of a DSConv, where the paper omits the non-linearity
  (`dsconv_nonlinearity=True` puts a ReLU there, as Tramac's port does).
- No biases in front of batch norms: they could never learn anything. The port has two such, of 128 each
  (`ffm_bias=True`).
- Zero padding of 1 in the first convolution as in all others (the port has none there: `first_padding=0`), and
  `align_corners=False` (in the port True).
- Kaiming initial weights: the paper names none.
"""

from collections import OrderedDict

from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.conv import conv_norm_act
from perpixel.layers.init import kaiming_init
from perpixel.layers.pad import pad_end
from perpixel.layers.pyramid_pooling import PyramidPooling
from perpixel.layers.resize import resize


class FastSCNN(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}` and, with `aux=True`, `"aux"` of the same shape, in train and in eval.

    Options: `dsconv_nonlinearity`, a ReLU between a DSConv's two convolutions; `ffm_dilation`, of the depthwise
    convolution in the feature fusion module: the paper's 4 is the ratio of the two branches' strides, ports use 1;
    `ffm_bias`, biases in its two 1x1 convolutions; `first_padding`, of the first convolution, 1 or 0; `align_corners`, of
    every resize; `dropout`, the probability in the heads; `pyramid_pooling=False`, the global feature extractor without it,
    to see what it does. Raises `UserError` for another padding.
    """

    backbone_names = ("learning_to_downsample", "global_feature_extractor")

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        aux: bool = False,
        dsconv_nonlinearity: bool = False,
        ffm_dilation: int = 4,
        dropout: float = 0.1,
        first_padding: int = 1,
        ffm_bias: bool = False,
        align_corners: bool = False,
        pyramid_pooling: bool = True,
    ) -> None:
        super().__init__()
        if first_padding not in (0, 1):
            raise UserError(f"first_padding must be 0 or 1; got {first_padding}")
        self.learning_to_downsample = LearningToDownsample(in_channels, dsconv_nonlinearity, first_padding)
        self.global_feature_extractor = GlobalFeatureExtractor(align_corners, pyramid_pooling)
        self.feature_fusion = FeatureFusionModule(ffm_dilation, ffm_bias, align_corners)
        self.classifier = classifier(num_classes, dsconv_nonlinearity, dropout)
        self.auxiliary = auxiliary_head(num_classes, dropout) if aux else None
        self.align_corners = align_corners
        kaiming_init(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        size = (image.shape[-2], image.shape[-1])
        detail = self.learning_to_downsample(image)  # B,64,H/8,W/8
        context = self.global_feature_extractor(detail)  # B,128,H/32,W/32
        fused = self.feature_fusion(detail, context)  # B,128,H/8,W/8
        output = {"logits": resize(self.classifier(fused), size, align_corners=self.align_corners)}  # B,K,H,W
        if self.auxiliary is not None:
            output["aux"] = resize(self.auxiliary(detail), size, align_corners=self.align_corners)  # B,K,H,W
        return output


class LearningToDownsample(nn.Module):
    """Three strided layers that both branches share."""

    def __init__(self, in_channels: int, nonlinearity: bool, first_padding: int) -> None:
        super().__init__()
        self.conv = conv_norm_act(in_channels, 32, 3, stride=2, padding=first_padding)
        self.padded = first_padding > 0
        self.ds_conv1 = ds_conv(32, 48, stride=2, nonlinearity=nonlinearity)
        self.ds_conv2 = ds_conv(48, 64, stride=2, nonlinearity=nonlinearity)

    def forward(self, image: Tensor) -> Tensor:
        if not self.padded:  # nothing is padded unless an image is smaller than the kernel
            image = pad_end(image, (max(image.shape[-2], 3), max(image.shape[-1], 3)))
        x = self.conv(image)  # B,32,H/2,W/2
        x = self.ds_conv1(x)  # B,48,H/4,W/4
        return self.ds_conv2(x)  # B,64,H/8,W/8


class GlobalFeatureExtractor(nn.Module):
    """The deep branch: inverted residuals, then means of the map in 1x1, 2x2, 3x3 and 6x6 parts."""

    def __init__(self, align_corners: bool, pyramid_pooling: bool) -> None:
        super().__init__()
        self.bottlenecks1 = bottlenecks(64, 64, stride=2)
        self.bottlenecks2 = bottlenecks(64, 96, stride=2)
        self.bottlenecks3 = bottlenecks(96, 128, stride=1)
        self.pyramid_pooling = PyramidPooling(128, align_corners=align_corners) if pyramid_pooling else nn.Identity()
        self.project = conv_norm_act(256 if pyramid_pooling else 128, 128, 1)

    def forward(self, detail: Tensor) -> Tensor:
        x = self.bottlenecks1(detail)  # B,64,H/16,W/16
        x = self.bottlenecks2(x)  # B,96,H/32,W/32
        x = self.bottlenecks3(x)  # B,128,H/32,W/32
        return self.project(self.pyramid_pooling(x))  # B,128,H/32,W/32


class FeatureFusionModule(nn.Module):
    """Adds the two branches at stride 8, each behind a linear 1x1 convolution, then ReLU."""

    def __init__(self, dilation: int, bias: bool, align_corners: bool) -> None:
        super().__init__()
        self.dw_conv = conv_norm_act(128, 128, 3, dilation=dilation, groups=128)
        self.project_context = conv_norm_act(128, 128, 1, act=False, bias=bias)
        self.project_detail = conv_norm_act(64, 128, 1, act=False, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        self.align_corners = align_corners

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """`(B, 64, h, w)` and `(B, 128, h/4, w/4)` -> `(B, 128, h, w)`."""
        context = resize(context, (detail.shape[-2], detail.shape[-1]), align_corners=self.align_corners)
        context = self.project_context(self.dw_conv(context))
        return self.relu(self.project_detail(detail) + context)


def classifier(num_classes: int, nonlinearity: bool, dropout: float) -> nn.Sequential:
    """Two more layers at stride 8, then one score for each class: `(B, 128, h, w)` -> `(B, K, h, w)`."""
    ds_convs = {f"ds_conv{n}": ds_conv(128, 128, stride=1, nonlinearity=nonlinearity) for n in (1, 2)}
    return nn.Sequential(OrderedDict(ds_convs, dropout=nn.Dropout(dropout), score=nn.Conv2d(128, num_classes, 1)))


def auxiliary_head(num_classes: int, dropout: float) -> nn.Sequential:
    """Scores from the shared layers alone, to train them directly: `(B, 64, h, w)` -> `(B, K, h, w)`."""
    layers = {"conv": conv_norm_act(64, 32, 3), "dropout": nn.Dropout(dropout), "score": nn.Conv2d(32, num_classes, 1)}
    return nn.Sequential(OrderedDict(layers))


class Bottleneck(nn.Module):
    """Inverted residual of MobileNetV2: expand six times, depthwise, project linearly; add where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int = 6) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.block = nn.Sequential(
            conv_norm_act(in_channels, inner, 1),
            conv_norm_act(inner, inner, 3, stride=stride, groups=inner),
            conv_norm_act(inner, out_channels, 1, act=False),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """`(B, in, h, w)` -> `(B, out, ceil(h/s), ceil(w/s))`."""
        return x + self.block(x) if self.residual else self.block(x)


def bottlenecks(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Three bottlenecks, the first of which strides and changes the channels."""
    first = Bottleneck(in_channels, out_channels, stride)
    return nn.Sequential(first, *(Bottleneck(out_channels, out_channels, stride=1) for _ in range(2)))


def ds_conv(in_channels: int, out_channels: int, *, stride: int, nonlinearity: bool) -> nn.Sequential:
    """Depthwise separable convolution: 3x3 in each channel alone, then 1x1 across channels."""
    return nn.Sequential(
        conv_norm_act(in_channels, in_channels, 3, stride=stride, groups=in_channels, act=nonlinearity),
        conv_norm_act(in_channels, out_channels, 1),
    )
