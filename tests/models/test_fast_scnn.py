"""Fast-SCNN's count by arithmetic from the paper's table, and its options."""

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.fast_scnn import FastSCNN


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def conv_bn(inputs: int, outputs: int, kernel: int, groups: int = 1) -> int:
    return inputs // groups * outputs * kernel**2 + 2 * outputs


def ds(inputs: int, outputs: int) -> int:
    return conv_bn(inputs, inputs, 3, groups=inputs) + conv_bn(inputs, outputs, 1)


def bottleneck(inputs: int, outputs: int) -> int:
    wide = 6 * inputs
    return conv_bn(inputs, wide, 1) + conv_bn(wide, wide, 3, groups=wide) + conv_bn(wide, outputs, 1)


def by_arithmetic(classes: int) -> int:
    down = conv_bn(3, 32, 3) + ds(32, 48) + ds(48, 64)
    deep = sum(
        bottleneck(i, o) for i, o in [(64, 64)] * 3 + [(64, 96)] + [(96, 96)] * 2 + [(96, 128)] + [(128, 128)] * 2
    )
    pyramid = 4 * conv_bn(128, 32, 1) + conv_bn(256, 128, 1)
    fusion = conv_bn(128, 128, 3, groups=128) + conv_bn(128, 128, 1) + conv_bn(64, 128, 1)
    return down + deep + pyramid + fusion + 2 * ds(128, 128) + 128 * classes + classes


def test_count_by_arithmetic_and_against_the_port() -> None:
    for classes, port in ((19, 1_138_051), (11, 1_137_019)):
        assert count(FastSCNN(classes)) == by_arithmetic(classes) == port - 2 * 128


def test_only_depthwise_steps_of_ds_convs_lose_their_relu() -> None:
    relus = [sum(isinstance(part, nn.ReLU) for part in FastSCNN(3, dsconv_nonlinearity=on).modules()) for on in (0, 1)]
    assert relus[1] - relus[0] == 4  # two DSConvs at each end
    assert relus[0] == 3 + 9 * 2 + 5 + 2 + 2  # downsampling, bottlenecks, pyramid, fusion, classifier


def test_strides_of_the_branches() -> None:
    model = FastSCNN(3).eval()
    detail = model.learning_to_downsample(torch.zeros(1, 3, 128, 96))
    assert detail.shape == (1, 64, 16, 12)
    assert model.global_feature_extractor(detail).shape == (1, 128, 4, 3)


def test_the_fusion_module_is_dilated_by_four() -> None:
    assert FastSCNN(3).feature_fusion.dw_conv.conv.dilation == (4, 4)
    assert FastSCNN(3, ffm_dilation=1).feature_fusion.dw_conv.conv.dilation == (1, 1)


PORT = {"dsconv_nonlinearity": True, "ffm_dilation": 1, "first_padding": 0, "ffm_bias": True, "align_corners": True}


def test_the_port_by_its_options() -> None:
    assert [count(FastSCNN(classes, **PORT)) for classes in (19, 11)] == [1_138_051, 1_137_019]
    model = FastSCNN(3, **PORT).eval()
    assert model.learning_to_downsample.conv(torch.zeros(1, 3, 64, 96)).shape == (1, 32, 31, 47)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (33, 47), (64, 96)], ids=str)
def test_the_port_takes_any_size(size: tuple[int, int]) -> None:
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    output = FastSCNN(3, aux=True, **PORT).train()(image)
    assert {key: value.shape for key, value in output.items()} == dict.fromkeys(("logits", "aux"), (1, 3, *size))


def test_the_first_convolution_is_padded_by_one_or_not_at_all() -> None:
    with pytest.raises(UserError, match="first_padding must be 0 or 1; got 2"):
        FastSCNN(3, first_padding=2)


def test_without_pyramid_pooling_it_has_no_global_context() -> None:
    less = 4 * conv_bn(128, 32, 1) + conv_bn(256, 128, 1) - conv_bn(128, 128, 1)
    assert count(FastSCNN(11, pyramid_pooling=False)) == by_arithmetic(11) - less
    for pooling in (True, False):
        torch.manual_seed(0)
        model = FastSCNN(3, pyramid_pooling=pooling).eval()
        image = torch.randn(1, 3, 64, 2048)
        other = image.clone()
        other[..., -32:] += 1.0
        with torch.no_grad():
            moved = (model(image)["logits"] - model(other)["logits"])[..., :256].abs().max()
        assert bool(moved > 0) is pooling
