"""Deformable DeepLab against the plain one and against torchvision's ResNet-101; its stride, offsets, frozen norms."""

import pytest
import torch
from torch import nn

from perpixel.core.errors import UserError
from perpixel.layers.deformable import DeformableConv2d
from perpixel.models.deformable_deeplab import DEFORMABLE, DeformableDeepLab


def small(**options: bool) -> DeformableDeepLab:
    torch.manual_seed(0)
    return DeformableDeepLab(5, depth=50, width=8, **options)


def test_at_zero_offsets_it_is_the_plain_network() -> None:
    model, plain = small(), small(deformable=False)
    keys = model.load_state_dict(plain.state_dict(), strict=False)
    assert keys.unexpected_keys == []
    assert keys.missing_keys == [f"{name}.offset.{part}" for name in DEFORMABLE for part in ("weight", "bias")]
    image = torch.randn(2, 3, 75, 130)
    for training in (True, False):
        with torch.no_grad():
            found, expected = model.train(training)(image)["logits"], plain.train(training)(image)["logits"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert expected.std() > 1e-3


def test_offsets_change_the_answer() -> None:
    model, image = small().eval(), torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        before = model(image)["logits"]
        for name in DEFORMABLE:
            nn.init.constant_(model.get_submodule(name).offset.bias, 0.5)
        after = model(image)["logits"]
    assert (before - after).abs().max() > 1e-4


def test_the_three_layers_are_those_of_the_authors() -> None:
    with torch.device("meta"):
        model = DeformableDeepLab(19)
    layers = [part for part in model.modules() if isinstance(part, DeformableConv2d)]
    assert len(layers) == 3
    for layer in layers:
        assert layer.weight.shape == (512, 512, 3, 3) and layer.bias is None
        assert (layer.stride, layer.padding, layer.dilation) == ((1, 1), (2, 2), (2, 2))
        assert (layer.offset.out_channels, layer.offset.padding, layer.offset.dilation) == (18, (1, 1), (1, 1))
    dilated = {name for name, p in model.named_modules() if isinstance(p, nn.Conv2d) and p.dilation != (1, 1)}
    assert dilated == set()  # only the deformable ones are
    assert [stage.shape[1:] for stage in model.backbone(torch.empty(1, 3, 512, 1024, device="meta"))] == [
        (256, 128, 256), (512, 64, 128), (1024, 32, 64), (2048, 32, 64),
    ]  # fmt: skip
    assert model.backbone.strides == (4, 8, 16, 16)


def test_frozen_norms_keep_what_they_have() -> None:
    model = small(frozen_norms=True).train()
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    before = {key: value.clone() for key, value in model.state_dict().items() if "norm" in key}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(2, 3, 64, 64))["logits"].square().sum().backward()
    optimiser.step()
    assert len(norms) == 53 and len(before) == 5 * 53
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert model.training and not any(norm.training for norm in norms)
    assert sum(part.training for part in small().train().modules()) > 200


def test_other_depths_are_refused() -> None:
    with pytest.raises(UserError, match="depth must be one of 50, 101, 152; got 18"):
        DeformableDeepLab(5, depth=18)
