"""DeepLabv3+: its multiply-adds, strides and rates, its trunk against timm's, and the places where ports go wrong."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from perpixel.core.errors import UserError
from perpixel.models.backbones.xception import AlignedXception
from perpixel.models.deeplabv3plus import DeepLabV3Plus


@pytest.mark.parametrize(
    ("output_stride", "size", "published", "counted"),
    [(16, (513, 513), 54.17e9, 54.04e9), (8, (513, 513), 177.10e9, 176.9e9), (16, (1025, 2049), 418.64e9, 418.4e9)],
)
def test_multiply_adds(output_stride: int, size: tuple[int, int], published: float, counted: float) -> None:
    with torch.device("meta"):
        model = DeepLabV3Plus(21 if size[0] == 513 else 19, output_stride=output_stride).eval()
        image = torch.empty(1, 3, *size)
    with FlopCounterMode(display=False) as counter:
        assert model(image)["logits"].shape[-2:] == size
    found = counter.get_total_flops() / 2
    assert found == pytest.approx(counted, rel=3e-4)
    assert found == pytest.approx(published, rel=3e-3)  # the paper's counts more than convolutions


@pytest.mark.parametrize("output_stride", [8, 16])
def test_the_trunk_is_timms(output_stride: int) -> None:
    """timm's xception65 takes the weights of the authors' code; its stages are taken from the same units."""
    torch.manual_seed(0)
    peer = timm.create_model("xception65", features_only=True, output_stride=output_stride).eval()
    ours = AlignedXception(output_stride=output_stride).eval()
    for norm in peer.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_var, 1e-3, 2e-3)  # so small that an epsilon of 1e-5 would be seen
            nn.init.uniform_(norm.weight, 0.02, 0.05)
            nn.init.normal_(norm.bias, std=0.5)
    theirs = list(peer.state_dict().values())
    places = ours.state_dict()
    keys = sorted(places, key=timms_order)
    assert [places[key].shape for key in keys] == [value.shape for value in theirs]
    ours.load_state_dict(dict(zip(keys, theirs, strict=True)))
    image = torch.randn(1, 3, 65, 49)
    with torch.no_grad():
        found, stages = ours(image), peer(image)
    reductions = peer.feature_info.reduction()
    found[0] = F.relu(found[0])  # which timm's stages have behind them
    for one, stage in zip(found, (stages[reductions.index(4)], stages[-1]), strict=True):
        assert one.shape == stage.shape
        assert stage.std() > 1e-2
        torch.testing.assert_close(one, stage, atol=1e-4, rtol=1e-4)


def timms_order(key: str) -> tuple[int, int, bool]:
    """timm has a module's shortcut in front of its units; a stable sort leaves the rest as it stands."""
    part, _, rest = key.partition(".")
    parts = ("stem", "entry1", "entry2", "entry3", "middle", "exit1", "exit2")
    number = int(rest.partition(".")[0]) if part == "middle" else 0
    return parts.index(part), number, not rest.startswith("shortcut")


@pytest.mark.parametrize(
    ("output_stride", "sizes", "middle", "exits"),
    [(32, (129, 17), 1, (1, 1)), (16, (129, 33), 1, (1, 2)), (8, (129, 65), 2, (2, 4))],
)
def test_strides_turn_into_dilation(
    output_stride: int, sizes: tuple[int, int], middle: int, exits: tuple[int, int]
) -> None:
    with torch.device("meta"):
        trunk = AlignedXception(output_stride=output_stride).eval()
        low, deep = trunk(torch.empty(1, 3, 513, 513))
    assert (low.shape[1:], deep.shape[1:]) == ((256, sizes[0], sizes[0]), (2048, sizes[1], sizes[1]))
    assert trunk.channels == (256, 2048)
    assert len(trunk.middle) == 16
    assert {dilation(module) for module in trunk.middle} == {middle}
    assert (dilation(trunk.exit1), dilation(trunk.exit2)) == exits
    assert {dilation(m) for m in (trunk.entry1, trunk.entry2, trunk.entry3)} == {1}


def dilation(module: nn.Module) -> int:
    """Of the three 3x3 convolutions of a module."""
    found = {
        conv.dilation[0] for conv in module.modules() if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3)
    }
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(("output_stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_rates_of_the_pyramid(output_stride: int, rates: list[int]) -> None:
    with torch.device("meta"):
        model = DeepLabV3Plus(3, output_stride=output_stride)
    assert [branch.depthwise.dilation[0] for branch in model.aspp.atrous] == rates
    assert model.score.in_channels == 256
    assert model.decoder[0].depthwise.in_channels == 304


def test_identity_shortcuts_carry_the_input_and_not_its_relu() -> None:
    module = AlignedXception(width=0.125).middle[0].eval()
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.zeros_(conv.weight)
    x = torch.randn(2, 91, 5, 5)
    before = x.clone()
    torch.testing.assert_close(module(x)[0], before)
    assert torch.equal(x, before)  # nor is the input changed in place


def test_only_the_last_module_has_relus_inside() -> None:
    with torch.device("meta"):
        trunk = AlignedXception()
    relus = {name: sum(isinstance(m, nn.ReLU) for m in part.modules()) for name, part in trunk.named_children()}
    assert relus == {"stem": 2, "entry1": 0, "entry2": 0, "entry3": 0, "middle": 0, "exit1": 0, "exit2": 6}


def test_epsilons_and_momentum() -> None:
    with torch.device("meta"):
        model = DeepLabV3Plus(3, norm_momentum=3e-4)
    norms = {name: part for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)}
    assert {part.eps for name, part in norms.items() if name.startswith("encoder")} == {1e-3}
    assert {part.eps for name, part in norms.items() if not name.startswith("encoder")} == {1e-5}
    assert {part.momentum for part in norms.values()} == {3e-4}
    assert len(norms) == 2 + 2 * 3 * 21 + 4 + 9 + 1 + 4  # stem, units, shortcuts, pyramid, low level, decoder
    assert [name for name, _ in model.named_parameters() if name.endswith("bias") and "norm" not in name][-1:] == [
        "score.bias"
    ]


def test_corners_of_map_and_image_coincide() -> None:
    torch.manual_seed(0)
    model = DeepLabV3Plus(3, width=0.125).eval()
    scores: list[torch.Tensor] = []
    model.score.register_forward_hook(lambda _, __, output: scores.append(output))
    image = torch.randn(1, 3, 18, 30)
    with torch.no_grad():
        logits = model(image)["logits"]
        whole = model(F.pad(image, (0, 3, 0, 15), mode="replicate"))["logits"]
    assert scores[0].shape == (1, 3, 9, 9)
    torch.testing.assert_close(whole[..., ::4, ::4], scores[1])
    torch.testing.assert_close(logits, whole[..., :18, :30])


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_100", "convnext_atto"])
def test_encoders_of_timm(encoder: str) -> None:
    model = DeepLabV3Plus(3, encoder=encoder, output_stride=16).train()
    assert model(torch.randn(1, 3, 1, 1))["logits"].shape == (1, 3, 1, 1)
    seen: list[torch.Size] = []
    model.aspp.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
    assert model(torch.randn(2, 3, 64, 96))["logits"].shape == (2, 3, 64, 96)
    assert seen == [(4, 6)]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_dilated_resnets_take_any_size_as_it_is(output_stride: int) -> None:
    model = DeepLabV3Plus(3, encoder="dilated_resnet50", output_stride=output_stride, width=0.125)
    seen: list[torch.Size] = []
    model.aspp.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
    for size in ((1, 1), (7, 5), (61, 90)):
        assert model.train()(torch.randn(1, 3, *size))["logits"].shape == (1, 3, *size)
    assert seen[-1] == (-(-61 // output_stride), -(-90 // output_stride))


def test_plain_convolutions_and_a_single_one_in_the_decoder() -> None:
    with torch.device("meta"):
        plain = DeepLabV3Plus(3, encoder="dilated_resnet101", separable=False, decoder_convs=1)
        longer = DeepLabV3Plus(3, decoder_convs=3)
    assert [branch.conv.dilation[0] for branch in plain.aspp.atrous] == [6, 12, 18]
    assert [tuple(part.conv.weight.shape) for part in plain.decoder] == [(256, 304, 3, 3)]
    assert [part.depthwise.in_channels for part in longer.decoder] == [304, 256, 256]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_convs": 0}, "decoder_convs must be 1 or more; got 0"),
        (
            {"encoder": "dilated_resnet50", "pretrained": True},
            'of dilated_resnet50; timm has those of encoder="resnet50"',
        ),
        ({"output_stride": 12}, "output_stride must be one of 8, 16, 32; got 12"),
        ({"pretrained": True}, 'There are no pretrained weights of aligned_xception; timm has those of encoder="xcep'),
        ({"encoder": "swin_tiny_patch4_window7_224"}, "with an output stride of 16: .* Use output_stride=32, or"),
        ({"encoder": "vgg11"}, "timm cannot make vgg11 with an output stride of 16: AssertionError"),
    ],
)
def test_what_cannot_be_built_says_why(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DeepLabV3Plus(3, **options)  # type: ignore[arg-type]
