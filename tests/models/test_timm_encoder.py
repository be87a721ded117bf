"""Encoders say what they return, and refuse in one line what they cannot do."""

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.models.backbones.timm_encoder import TimmEncoder, stage_indices


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 128, 256, 512)),
        ("mobilenetv3_small_100", (16, 24, 48, 576)),
        ("convnext_atto", (40, 80, 160, 320)),
        ("vgg11", (256, 512, 512, 512)),
        ("swin_tiny_patch4_window7_224", (96, 192, 384, 768)),  # channels last, and of fixed size unless told otherwise
    ],
)
def test_stages_are_what_channels_and_strides_say(name: str, channels: tuple[int, ...]) -> None:
    encoder = TimmEncoder(name, in_channels=4).eval()
    with torch.no_grad():
        stages = encoder(encoder.extend(torch.randn(1, 4, 41, 96)))
    assert encoder.channels == channels
    assert encoder.strides == (4, 8, 16, 32)
    assert [tuple(s.shape[1:]) for s in stages] == [
        (channels[0], 16, 24),
        (channels[1], 8, 12),
        (channels[2], 4, 6),
        (channels[3], 2, 3),
    ]


def test_of_two_stages_with_one_stride_the_deeper_counts() -> None:
    assert stage_indices("some", [2, 4, 8, 16, 16, 32], (4, 16)) == (1, 4)


def test_a_stride_asked_for_twice_gives_the_two_deepest() -> None:
    assert stage_indices("some", [2, 4, 8, 16, 16, 16], (4, 16, 16)) == (1, 4, 5)
    assert stage_indices("some", [2, 4, 8, 16, 16, 16], (16, 8, 16)) == (4, 2, 5)
    encoder = TimmEncoder("resnet18", strides=(16, 16), output_stride=16)
    assert encoder.channels == (256, 512)
    assert [tuple(stage.shape[1:]) for stage in encoder(torch.zeros(1, 3, 64, 32))] == [(256, 4, 2), (512, 4, 2)]
    with pytest.raises(UserError, match="needs stages of stride 32, 32; resnet18 has 2, 4, 8, 16, 32"):
        TimmEncoder("resnet18", strides=(32, 32))


def test_fewer_stages_on_request() -> None:
    encoder = TimmEncoder("resnet18", strides=(2, 16))
    assert encoder.channels == (64, 256)
    assert [tuple(stage.shape[1:]) for stage in encoder(torch.zeros(2, 3, 64, 32))] == [(64, 32, 16), (256, 4, 2)]
    # ResNet-18 without its classifier, less its last stage: 3x3s 256 to 512 and three of 512, a 1x1, five batch norms
    last_stage = 9 * 256 * 512 + 3 * 9 * 512 * 512 + 256 * 512 + 5 * 2 * 512
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 11_176_512 - last_stage


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5O", 'timm has no encoder "resnet5O". Did you mean "resnet50"?'),
        ("vit_tiny_patch16_224", "needs stages of stride 4, 8, 16, 32; vit_tiny_patch16_224 has 16, 16, 16"),
        ("resnet18.zebra", "timm cannot take resnet18.zebra apart into stages"),
    ],
)
def test_encoders_that_do_not_fit(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        TimmEncoder(name)
    assert message in str(error.value)
