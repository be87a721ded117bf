"""ERFNet's count by arithmetic, its factorised blocks, and the head of its encoder."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.erfnet import Downsampler, ERFNet, NonBottleneck1D


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def by_arithmetic(classes: int) -> int:
    """With the encoder's head, as the authors' network has it in training."""

    def block(c: int) -> int:
        return 4 * (3 * c * c + c) + 2 * 2 * c

    def down(i: int, o: int) -> int:
        return 9 * i * (o - i) + (o - i) + 2 * o

    def up(i: int, o: int) -> int:
        return 9 * i * o + o + 2 * o

    encoder = down(3, 16) + down(16, 64) + 5 * block(64) + down(64, 128) + 8 * block(128)
    decoder = up(128, 64) + 2 * block(64) + up(64, 16) + 2 * block(16) + 16 * 4 * classes + classes
    return encoder + decoder + 129 * classes


@pytest.mark.parametrize(("classes", "expected"), [(11, 2_065_090), (19, 2_066_642), (20, 2_066_836)])
def test_count_by_arithmetic_and_of_the_authors(classes: int, expected: int) -> None:
    assert count(ERFNet(classes, aux=True)) == by_arithmetic(classes) == expected
    assert count(ERFNet(classes)) == expected - 129 * classes  # 1,419 and 2,451 and 2,580


def test_every_batch_norm_has_the_authors_epsilon() -> None:
    norms = [part for part in ERFNet(3).modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 3 + 2 * (5 + 8 + 4) + 2
    assert {norm.eps for norm in norms} == {1e-3}


def test_only_the_second_pair_is_dilated_and_every_convolution_has_a_bias() -> None:
    blocks = [part for part in ERFNet(3).modules() if isinstance(part, NonBottleneck1D)]
    assert len(blocks) == 5 + 8 + 4
    assert {conv.dilation for block in blocks for conv in (block.pair1[0], block.pair1[2])} == {(1, 1)}
    found = [(block.pair2[0].dilation[0], block.pair2[2].dilation[1]) for block in blocks]
    assert found == [(d, d) for d in (*[1] * 5, *(2, 4, 8, 16) * 2, *[1] * 4)]
    assert all(
        part.bias is not None for part in ERFNet(3).modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
    )


def test_a_block_by_the_functions_of_its_formula() -> None:
    torch.manual_seed(0)
    block, x = NonBottleneck1D(4, 0.3, dilation=2).eval(), torch.randn(2, 4, 9, 7)
    w = [
        p.detach()
        for conv in (block.pair1[0], block.pair1[2], block.pair2[0], block.pair2[2])
        for p in conv.parameters()
    ]
    shrink = (1 + 1e-3) ** -0.5  # of a batch norm that has seen nothing
    out = F.conv2d(F.conv2d(x, w[0], w[1], padding=(1, 0)).relu(), w[2], w[3], padding=(0, 1)) * shrink
    out = F.conv2d(out.relu(), w[4], w[5], padding=(2, 0), dilation=(2, 1)).relu()
    out = F.conv2d(out, w[6], w[7], padding=(0, 2), dilation=(1, 2)) * shrink
    assert w[0].shape[-2:] == (3, 1) and w[2].shape[-2:] == (1, 3)
    torch.testing.assert_close(block(x), (out + x).relu())


def test_a_downsampling_pools_behind_its_convolution() -> None:
    part, x = Downsampler(4, 10).eval(), torch.randn(1, 4, 6, 8)
    with torch.no_grad():
        found = part(x)
    assert found.shape == (1, 10, 3, 4)
    windows = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)).relu() * (1 + 1e-3) ** -0.5
    torch.testing.assert_close(found[:, 6:], windows)


@pytest.mark.parametrize("in_channels", [1, 8, 9, 20])
def test_the_first_downsampling_takes_any_image(in_channels: int) -> None:
    part = Downsampler(in_channels, 16)
    assert part.conv.out_channels == (16 - in_channels if in_channels <= 8 else 16)
    assert part(torch.randn(2, in_channels, 4, 4)).shape == (2, 16, 2, 2)


def test_dropout_is_of_channels_and_in_the_encoder_alone() -> None:
    model = ERFNet(3)
    rates = [part.p for part in model.encoder.modules() if isinstance(part, nn.Dropout2d)]
    assert rates == [0.03] * 5 + [0.3] * 8
    assert {part.p for part in model.decoder.modules() if isinstance(part, nn.Dropout2d)} == {0.0}
    assert not any(isinstance(part, nn.Dropout) for part in model.modules())


def test_maps_have_an_eighth_of_the_padded_size_and_logits_the_images() -> None:
    model, image = ERFNet(3, aux=True).eval(), torch.randn(1, 3, 33, 57)
    padded = F.pad(image, (0, 7, 0, 7), mode="replicate")
    with torch.no_grad():
        assert model.encoder(padded).shape == (1, 128, 5, 8)
        found, expected = model(image), model(padded)
    assert list(found) == ["logits", "aux"]
    for key in found:
        torch.testing.assert_close(found[key], expected[key][..., :33, :57])


def test_the_encoder_alone_is_trained_first_and_its_weights_go_into_the_whole() -> None:
    first, whole = ERFNet(3, encoder_only=True).eval(), ERFNet(3, aux=True).eval()
    missing, unexpected = whole.load_state_dict(first.state_dict(), strict=False)
    assert unexpected == [] and missing and all(name.startswith("decoder.") for name in missing)
    image = torch.randn(1, 3, 21, 30)
    with torch.no_grad():
        alone, both = first(image), whole(image)
    assert list(alone) == ["logits"]
    torch.testing.assert_close(alone["logits"], both["aux"])


def test_the_encoder_alone_has_nothing_beside_it() -> None:
    with pytest.raises(UserError, match="Choose one of them"):
        ERFNet(3, aux=True, encoder_only=True)
