"""ParseNet's context by hand, its two fusions, and its sizes."""

import math

import pytest
import torch

from perpixel.core.errors import UserError
from perpixel.models.parsenet import EarlyFusion, LargeFOV, LateFusion, ParseNet


def test_early_fusion_by_hand() -> None:
    torch.manual_seed(0)
    fusion, x = EarlyFusion(2, 3, initial_scale=10.0).double(), torch.rand(1, 2, 2, 3, dtype=torch.float64)
    scores = fusion(x)
    mean = [x[0, c].sum().item() / 6 for c in range(2)]
    everywhere = [10 * m / math.hypot(*mean) for m in mean]
    for i in range(2):
        for j in range(3):
            here = [x[0, c, i, j].item() for c in range(2)]
            features = [10 * value / math.hypot(*here) for value in here] + everywhere
            for k in range(3):
                weights = fusion.score.weight[k, :, 0, 0].tolist()
                expected = sum(w * f for w, f in zip(weights, features, strict=True)) + fusion.score.bias[k].item()
                assert scores[0, k, i, j].item() == pytest.approx(expected, rel=1e-6)


def test_late_fusion_can_express_what_early_fusion_does() -> None:
    torch.manual_seed(0)
    early, late = EarlyFusion(4, 3, 10.0), LateFusion(4, 3, 10.0)
    with torch.no_grad():
        for norm in (early.norm_local, early.norm_global):
            norm.scale.copy_(torch.rand(4))
        late.norm_local.load_state_dict(early.norm_local.state_dict())
        late.norm_global.load_state_dict(early.norm_global.state_dict())
        late.score_local.weight.copy_(early.score.weight[:, :4])
        late.score_global.weight.copy_(early.score.weight[:, 4:])
        late.score_local.bias.copy_(early.score.bias - 1)
        late.score_global.bias.fill_(1)
    x = torch.rand(2, 4, 5, 6)
    torch.testing.assert_close(late(x), early(x))


@pytest.mark.parametrize("fusion", ["early", "late"])
def test_every_pixel_reaches_every_other(fusion: str) -> None:
    torch.manual_seed(0)
    model = ParseNet(3, fusion=fusion, width=4).eval()
    image = torch.randn(1, 3, 257, 9)
    changed = image.clone()
    changed[..., -1, :] += 3
    with torch.no_grad():
        difference = (model(changed)["logits"] - model(image)["logits"])[..., 0, :]
    assert difference.abs().max() > 1e-5


def test_maps_have_the_sizes_of_deeplabs_crops() -> None:
    with torch.device("meta"):
        backbone, image = LargeFOV(3, width=64, dropout=0.5), torch.empty(1, 3, 321, 321)
    assert backbone(image).shape == (1, 1024, 41, 41)
    assert sum(p.numel() for p in backbone.convs.parameters()) == 14_714_688  # VGG-16's
    assert sum(p.numel() for p in backbone.fc6.parameters()) == 512 * 1024 * 9 + 1024
    assert (backbone.fc6.dilation, backbone.fc6.padding) == ((12, 12), (12, 12))


def test_dilation_begins_behind_the_fourth_pooling() -> None:
    convs = [part for part in LargeFOV(3, width=1, dropout=0.5).convs if isinstance(part, torch.nn.Conv2d)]
    pools = [part.stride for part in LargeFOV(3, width=1, dropout=0.5).convs if isinstance(part, torch.nn.MaxPool2d)]
    assert [conv.dilation[0] for conv in convs] == [1] * 10 + [2] * 3
    assert pools == [2, 2, 2, 1, 1]


def test_scales_start_where_the_option_says() -> None:
    model = ParseNet(3, initial_scale=20.0, width=2)
    assert model.context.norm_local.scale.tolist() == [20.0] * 32
    assert model.context.norm_global.scale.tolist() == [20.0] * 32
    with pytest.raises(UserError, match='fusion must be one of early, late; got "middle"'):
        ParseNet(3, fusion="middle")
