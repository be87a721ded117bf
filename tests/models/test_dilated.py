"""The dilated front-end's sizes and border, and what the context module adds to it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perpixel.core.errors import UserError
from perpixel.layers.context import identity_init
from perpixel.layers.fixed_upsample import FixedUpsample
from perpixel.models import build
from perpixel.models.dilated import DilatedFrontend, DilatedVGG, Dilation, mirror_border


def test_maps_have_the_sizes_of_the_released_voc_model() -> None:
    with torch.device("meta"):
        model, image = DilatedVGG(21, 3, width=64, dropout=0.5), torch.empty(1, 3, 900, 900)
    seen: list[tuple[int, int]] = []
    parts = dict(model.convs.named_children()) | dict(model.named_children())
    for name in ("pool1", "pool2", "pool3", "conv4_3", "conv5_3", "fc6", "fc7"):
        parts[name].register_forward_hook(lambda _, __, out: seen.append((out.shape[1], out.shape[-1])))
    assert model(image).shape == (1, 21, 66, 66)
    assert seen == [(64, 448), (128, 222), (256, 108), (512, 102), (512, 90), (4096, 66), (4096, 66)]


def test_nothing_is_padded_and_the_dilations_replace_two_poolings() -> None:
    with torch.device("meta"):
        model = DilatedVGG(21, 3, width=64, dropout=0.5)
    convs = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert [conv.dilation[0] for conv in convs] == [1] * 10 + [2] * 3 + [4, 1, 1]
    assert {conv.padding for conv in convs} == {(0, 0)}
    assert sum(isinstance(part, nn.MaxPool2d) for part in model.modules()) == 3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (8, 16), (33, 47), (200, 187)])
def test_the_border_is_mirrored_as_numpy_does(height: int, width: int) -> None:
    image = torch.randn(1, 2, height, width)
    below, right = -height % 8, -width % 8  # up to a multiple of 8
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (186, 186 + below), (186, 186 + right)), mode="reflect")
    found = mirror_border(image)
    assert ((found.shape[-2] - 372) % 8, (found.shape[-1] - 372) % 8) == (0, 0)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("context", "depth", "margin"), [("basic", 7, 0), ("basic", 8, 0), ("basic", 10, 0), ("large", 8, 33)]
)
def test_it_starts_as_the_front_end(context: str, depth: int, margin: int) -> None:
    """With the identity alone, the context module passes the positive part of the front-end's scores."""
    torch.manual_seed(0)
    frontend = DilatedFrontend(3, width=2).eval()
    model = build("dilation8", 3, context=context, depth=depth, width=2).eval()
    assert isinstance(model, Dilation)
    assert model.context.margin == margin
    model.scores.load_state_dict(frontend.scores.state_dict())
    for conv in (*model.context.convs, model.context.project):
        identity_init(conv, groups=3, std=0.0)
    image = torch.randn(1, 3, 9, 21)
    with torch.no_grad():
        scores = frontend.scores(mirror_border(image))
        expected = F.interpolate(scores.relu(), size=(16, 24), mode="bilinear", align_corners=False)[..., :9, :21]
        assert scores.shape == (1, 3, 2, 3)
        assert scores.abs().max() > 0
        torch.testing.assert_close(model(image)["logits"], expected)


@pytest.mark.parametrize("size", [(1, 1), (13, 5)], ids=str)
def test_the_large_context_trains_at_batch_one(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build("dilation8", 2, context="large", width=2).train()
    for parameter in model.parameters():  # so few channels can all be dead
        parameter.data += 0.01 * torch.rand_like(parameter)
    logits = model(torch.rand(1, 3, *size))["logits"]
    assert logits.shape == (1, 2, *size)
    logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_last_layer_starts_as_in_the_released_code() -> None:
    torch.manual_seed(0)
    final = DilatedFrontend(21, width=8).scores.final
    assert final.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert not final.bias.any()


def test_the_fixed_upsampling_is_bilinear_inside() -> None:
    x = torch.randn(2, 3, 5, 7)
    upsample = FixedUpsample(3, stride=8)
    found, expected = upsample(x), F.interpolate(x, size=(40, 56), mode="bilinear", align_corners=False)
    assert found.shape == expected.shape
    torch.testing.assert_close(found[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])
    assert [p.requires_grad for p in upsample.parameters()] == [False]
    assert sum(p.numel() for p in FixedUpsample(19, stride=8).parameters()) == 4_864
    with pytest.raises(ValueError, match="must be even; got 3"):
        FixedUpsample(3, stride=3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dilation8", {"context": "huge"}, 'dilation8: context must be one of basic, large; got "huge"'),
        ("dilation8", {"depth": 9}, 'dilation8: depth must be one of 7, 8, 10; got "9"'),
        ("dilated_frontend", {"upsample": "no"}, 'upsample must be one of resize, transposed; got "no"'),
    ],
)
def test_wrong_options_say_the_right_ones(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(name, 3, **options)
