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


def test_fewer_stages_on_request() -> None:
    encoder = TimmEncoder("resnet18", strides=(2, 16))
    assert encoder.channels == (64, 256)
    assert [tuple(stage.shape[1:]) for stage in encoder(torch.zeros(2, 3, 64, 32))] == [(64, 32, 16), (256, 4, 2)]


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
