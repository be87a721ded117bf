"""Multiply-adds against counts of the authors' code, to the digits in which they are known; strides by the papers."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.ops import DeformConv2d

from perpixel.analyze import Cost, cost
from perpixel.analyze.costs import output_stride
from perpixel.core.errors import UserError
from perpixel.models import build


def on_meta(name: str, num_classes: int, in_channels: int = 3, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=num_classes, in_channels=in_channels, **options)


@pytest.mark.parametrize(
    ("name", "num_classes", "size", "giga", "options"),
    [
        ("bayesian_segnet", 11, (360, 480), "106.7", {}),
        ("deconvnet", 21, (224, 224), "32.75", {}),
        ("deeplabv3plus", 21, (513, 513), "54.04", {}),
        ("dilation8", 21, (528, 528), "826", {"context": "large"}),  # the authors' tile of 900, less 372
        ("dilation8", 11, (360, 480), "527", {}),
        ("dilation8", 19, (1024, 1024), "2647", {"depth": 10, "upsample": "transposed"}),
        ("drn_c_26", 19, (1024, 2048), "710", {}),
        ("drn_d_22", 19, (1024, 2048), "545", {}),
        ("drn_d_38", 19, (1024, 2048), "883", {}),
        ("drn_d_105", 19, (1024, 2048), "1812", {}),
        ("encnet", 59, (480, 480), "165.8", {"aux": True, "presence": True, "lateral": True}),
        ("encnet", 59, (480, 480), "234.0", {"aux": True, "presence": True, "lateral": True, "depth": 101}),
        ("enet", 12, (360, 480), "1.273", {}),
        ("enet", 12, (360, 640), "1.698", {}),
        ("erfnet", 11, (360, 480), "8.75", {}),
        ("erfnet", 19, (512, 1024), "26.6", {}),
        ("fast_scnn", 19, (1024, 2048), "6.71", {}),
        ("fcn32s", 21, (500, 500), "181.4", {}),
        ("fcn16s", 21, (500, 500), "181.4", {}),
        ("fcn8s", 21, (500, 500), "181.5", {}),
        ("fcn8s", 11, (360, 480), "139.5", {}),
        ("fpn", 19, (1024, 2048), "352", {}),
        ("fpn", 19, (1024, 2048), "507", {"encoder": "resnet101"}),
        ("hrnet_w18_small_v1", 19, (1024, 2048), "33.4", {}),
        ("hrnet_w48", 19, (1024, 2048), "747.5", {}),
        ("pspnet", 150, (473, 473), "161.9", {}),
        ("pspnet", 19, (713, 713), "517.2", {"depth": 101}),
        ("segnet", 11, (360, 480), "106.7", {}),
        ("segnet_basic", 11, (360, 480), "59.2", {}),
        ("unet", 11, (352, 480), "124.3", {"padding": "same"}),
    ],
)
def test_counts_of_the_authors_code(
    name: str, num_classes: int, size: tuple[int, int], giga: str, options: dict[str, Any]
) -> None:
    digits = len(giga.partition(".")[2])
    counted = cost(on_meta(name, num_classes, **options), size).multiply_adds / 1e9
    assert counted == pytest.approx(float(giga), abs=0.5001 * 10**-digits)


def test_the_units_of_unet() -> None:
    """The paper's tile of 572 is an image of 388 here, with one channel."""
    assert cost(on_meta("unet", 2, in_channels=1), (388, 388), in_channels=1).multiply_adds / 1e9 == pytest.approx(
        150.4, abs=0.05
    )


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), Cost(6 * 2 * 9 + 6, 6 * 2 * 9 * 80)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), Cost(6 * 4 * 9 + 6, 6 * 4 * 9 * 20)),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), Cost(4 * 6 * 4, 4 * 6 * 4 * 80)),  # each input pixel once
        (nn.Linear(10, 5), Cost(55, 10 * 5 * 8 * 4)),
        (nn.BatchNorm2d(4), Cost(8, 0)),
    ],
)
def test_single_layers_by_hand(layer: nn.Module, wanted: Cost) -> None:
    assert cost(layer, (8, 10), in_channels=4) == wanted


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # 1,80,4
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


class Deformable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = DeformConv2d(4, 6, 3, padding=1, groups=2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x, x.new_zeros(1, 18, *x.shape[-2:]))


def test_attention_and_deformable_convolution_by_hand() -> None:
    assert cost(Attention(), (8, 10), in_channels=4).multiply_adds == 2 * 80 * 80 * 4
    assert cost(Deformable(), (8, 10), in_channels=4) == Cost(6 * 2 * 9, 6 * 2 * 9 * 80)


def test_the_model_is_left_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    model[1].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    cost(model, (9, 9))
    output_stride(model, 4, (9, 9))
    assert (model.training, model[0].training, model[1].training, model[2].training) == (True, True, False, True)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model[0]._forward_hooks


class ByValue(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum().item() > 0 else -x


def test_a_network_that_looks_at_values_is_refused() -> None:
    with pytest.raises(UserError, match="ByValue cannot run without values"):
        cost(ByValue(), (8, 8))


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("fcn32s", 32),
        ("fcn16s", 16),
        ("fcn8s", 8),
        ("unet", 1),
        ("segnet", 1),
        ("enet", 1),
        ("dilation8", 8),
        ("drn_d_22", 8),
        ("pspnet", 8),
        ("fast_scnn", 8),
        ("deeplabv3plus", 4),
        ("fpn", 4),
        ("hrnet_w18_small_v1", 4),
    ],
)
def test_strides_of_the_papers(name: str, stride: int) -> None:
    assert output_stride(on_meta(name, 19), 19) == stride


def test_no_stride_without_scores() -> None:
    assert output_stride(nn.Conv2d(3, 4, 1), 5) is None
