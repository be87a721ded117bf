"""ENet's count by arithmetic from the authors' wiring, and what other implementations of it get wrong."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perpixel.core.errors import UserError
from perpixel.models.enet import Bottleneck, DownsamplingBottleneck, ENet, UpsamplingBottleneck


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def branch(inputs: int, outputs: int, reduce: int, middle: int, slopes: int) -> int:
    """1 x 1 or 2 x 2 reduction, a middle of so many taps and one bias, 1 x 1 expansion, three batch norms."""
    inner = outputs // 4
    convs = inputs * inner * reduce**2 + inner * inner * middle + inner + inner * outputs
    return convs + 2 * (inner + inner + outputs) + slopes * (inner + inner + outputs)


def by_arithmetic(classes: int) -> int:
    section = 6 * branch(128, 128, 1, 9, slopes=1) + 2 * branch(128, 128, 1, 5 + 5, slopes=1)
    initial = 3 * 13 * 9 + 13 + 2 * 16 + 16
    encoder = initial + branch(16, 64, 2, 9, slopes=1) + 4 * branch(64, 64, 1, 9, slopes=1)
    encoder += branch(64, 128, 2, 9, slopes=1) + 2 * section
    up = branch(128, 64, 1, 9, slopes=0) + 128 * 64 + 2 * 64 + branch(64, 16, 1, 9, slopes=0) + 64 * 16 + 2 * 16
    decoder = up + 2 * branch(64, 64, 1, 9, slopes=0) + branch(16, 16, 1, 9, slopes=0)
    return encoder + decoder + 16 * 4 * classes + classes


@pytest.mark.parametrize(("classes", "expected"), [(11, 363_791), (12, 363_856), (19, 364_311), (20, 364_376)])
def test_count_by_arithmetic_and_of_the_authors(classes: int, expected: int) -> None:
    assert count(ENet(classes)) == by_arithmetic(classes) == expected
    assert count(ENet(classes, aux=True)) == expected + 129 * classes


def test_every_batch_norm_has_the_authors_epsilon() -> None:
    norms = [part for part in ENet(3).modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 1 + 3 * (22 + 5) + 2  # initial block, 22 bottlenecks and 5 of the decoder, two shortcuts
    assert {norm.eps for norm in norms} == {1e-3}


def test_nothing_stands_between_1x5_and_5x1() -> None:
    pairs = 0
    for stage in (ENet(3).encoder.stage2, ENet(3).encoder.stage3):
        for bottleneck in stage:
            parts = list(bottleneck.branch)
            for first, second in pairwise(parts):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d):
                    pairs += 1
                    assert (first.kernel_size, first.bias) == ((1, 5), None)
                    assert second.kernel_size == (5, 1) and second.bias is not None
    assert pairs == 4


def test_order_and_dilations_of_stages_two_and_three() -> None:
    for stage in (ENet(3).encoder.stage2, ENet(3).encoder.stage3):
        middles = [bottleneck.branch[3] for bottleneck in stage]
        assert [m.kernel_size for m in middles] == [(3, 3), (3, 3), (1, 5), (3, 3)] * 2
        assert [m.dilation[0] for m in middles] == [1, 2, 1, 4, 1, 8, 1, 16]


def test_inner_channels_are_a_quarter_of_the_output() -> None:
    encoder, decoder = ENet(3).encoder, ENet(3).decoder
    found = [b.branch[0].out_channels for b in (encoder.down1, encoder.down2, decoder.up4, decoder.up5)]
    assert found == [64 // 4, 128 // 4, 64 // 4, 16 // 4]


def test_a_slope_for_each_channel_in_the_encoder_and_relus_without_dropout_in_the_decoder() -> None:
    model = ENet(3)
    slopes = [part.num_parameters for part in model.encoder.modules() if isinstance(part, nn.PReLU)]
    assert len(slopes) == 1 + 3 * 22 and min(slopes) == 16
    assert not any(isinstance(part, nn.PReLU) for part in model.decoder.modules())
    assert all(part.p == 0 for part in model.decoder.modules() if isinstance(part, nn.Dropout2d))
    rates = [part.p for part in model.encoder.modules() if isinstance(part, nn.Dropout2d)]
    assert rates == [0.01] * 5 + [0.1] * 17


def test_no_activation_behind_the_expansion() -> None:
    bottlenecks = [part for part in ENet(3).modules() if hasattr(part, "branch")]
    assert len(bottlenecks) == 22 + 5
    assert all(isinstance(bottleneck.branch[-1], nn.BatchNorm2d) for bottleneck in bottlenecks)


def test_the_initial_block_pools_two_by_two_behind_the_convolution() -> None:
    block, image = ENet(3).encoder.initial.eval(), torch.randn(2, 3, 8, 6)
    block.norm, block.act = nn.Identity(), nn.Identity()
    with torch.no_grad():
        found = block(image)
    assert found.shape == (2, 16, 4, 3)
    torch.testing.assert_close(found[:, 13:], image.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)))


@pytest.mark.parametrize("in_channels", [1, 8, 9, 20])
def test_the_initial_block_gives_sixteen_channels_for_any_image(in_channels: int) -> None:
    model = ENet(3, in_channels).eval()
    assert model.encoder.initial.conv.out_channels == (16 - in_channels if in_channels <= 8 else 16)
    assert model(torch.randn(1, in_channels, 16, 16))["logits"].shape == (1, 3, 16, 16)


@pytest.mark.parametrize("training", [True, False])
def test_values_return_to_the_places_of_the_maxima(training: bool) -> None:
    """By loop: a downsampling's pooled channels, zeros behind them, and an unpooling at the same places."""
    torch.manual_seed(0)
    down, up = DownsamplingBottleneck(4, 16, dropout=0.0), UpsamplingBottleneck(16, 4)
    down.train(training), up.train(training)
    nn.init.zeros_(down.branch[-1].weight), nn.init.zeros_(up.branch[-1].weight)  # the shortcuts alone
    down.act, up.act = nn.Identity(), nn.Identity()
    x, values = torch.randn(1, 4, 6, 8), torch.randn(1, 16, 3, 4)
    with torch.no_grad():
        pooled, kept = down(x)
        unpooled, placed = up(values, kept), up.shortcut(values)
    expected = torch.zeros(1, 4, 6, 8)
    for c in range(4):
        for row in range(3):
            for column in range(4):
                window = x[0, c, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                assert pooled[0, c, row, column] == window.max()
                at = int(window.flatten().argmax())
                expected[0, c, 2 * row + at // 2, 2 * column + at % 2] = placed[0, c, row, column]
    assert not pooled[:, 4:].any()
    torch.testing.assert_close(unpooled, expected)


def test_each_unpooling_takes_the_maxima_of_its_own_downsampling() -> None:
    model, seen = ENet(3).train(), {}
    for name, part in (("down1", model.encoder.down1), ("down2", model.encoder.down2)):
        part.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output[1][0]}))
    for name, part in (("up4", model.decoder.up4), ("up5", model.decoder.up5)):
        part.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[1][0]}))
    model(torch.randn(1, 3, 32, 48))
    assert seen["up4"] is seen["down2"] and seen["down2"].shape == (1, 64, 4, 6)
    assert seen["up5"] is seen["down1"] and seen["down1"].shape == (1, 16, 8, 12)


def test_a_bottleneck_adds_what_it_was_given() -> None:
    bottleneck, x = Bottleneck(8, 1, 0.0, nn.PReLU), torch.randn(1, 8, 3, 3)
    nn.init.zeros_(bottleneck.branch[-1].weight)
    torch.testing.assert_close(bottleneck(x), F.prelu(x, torch.tensor(0.25)))


def test_maps_have_an_eighth_of_the_padded_size_and_logits_the_images() -> None:
    model = ENet(3).eval()
    with torch.no_grad():
        features, kept = model.encoder(torch.zeros(1, 3, 40, 64))
        image = torch.randn(1, 3, 33, 57)
        padded = F.pad(image, (0, 7, 0, 7), mode="replicate")
        torch.testing.assert_close(model(image)["logits"], model(padded)["logits"][..., :33, :57])
    assert features.shape == (1, 128, 5, 8)
    assert [size for _, size in kept] == [(20, 32), (10, 16)]


def test_the_encoder_alone_is_trained_first_and_its_weights_go_into_the_whole() -> None:
    first, whole = ENet(3, encoder_only=True).eval(), ENet(3, aux=True).eval()
    missing, unexpected = whole.load_state_dict(first.state_dict(), strict=False)
    assert unexpected == [] and missing and all(name.startswith("decoder.") for name in missing)
    image = torch.randn(1, 3, 21, 30)
    with torch.no_grad():
        alone, both = first(image), whole(image)
    assert list(alone) == ["logits"] and list(both) == ["logits", "aux"]
    torch.testing.assert_close(alone["logits"], both["aux"])
    assert count(first) == sum(p.numel() for p in whole.encoder.parameters()) + 129 * 3


def test_the_encoder_alone_has_nothing_beside_it() -> None:
    with pytest.raises(UserError, match="Choose one of them"):
        ENet(3, aux=True, encoder_only=True)
