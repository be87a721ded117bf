"""Multi-scale input: one network at several sizes, and three ways to fuse what it says."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.data.scenes import write_scenes
from perpixel.infer import load
from perpixel.losses import build_loss
from perpixel.models import build
from perpixel.models.catalog import without_download
from perpixel.models.multi_scale import Attention, MultiScale
from perpixel.train import default_recipe, train

SCALES = (0.5, 0.75, 1.0)


class Probe(nn.Module):
    """A network that scores nothing but a 3x3 convolution, and notes the sizes of what it saw."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 3, padding=1)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.sizes.append((image.shape[-2], image.shape[-1]))
        return {"logits": self.conv(image)}


def by_hand(network: nn.Module, image: Tensor) -> list[Tensor]:
    """The scores at a half, three quarters and the whole of an image of 8 x 12, at the image's size."""
    scores = []
    for size in ((4, 6), (6, 9), (8, 12)):
        small = F.interpolate(image, size, mode="bilinear", align_corners=False)
        scores.append(F.interpolate(network(small)["logits"], (8, 12), mode="bilinear", align_corners=False))
    return scores


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_the_average_of_one_scale_is_the_network(image: Tensor) -> None:
    for fusion in ("average", "maximum", "attention"):
        network = build("fast_scnn", 4).eval()
        model = MultiScale(network, 4, scales=[1.0], fusion=fusion).eval()
        torch.testing.assert_close(model(image)["logits"], network(image)["logits"], rtol=0, atol=0)


def test_fusions_by_hand(image: Tensor) -> None:
    network = Probe()
    scores = by_hand(network, image)
    found = {fusion: MultiScale(network, 2, SCALES, fusion) for fusion in ("average", "maximum", "attention")}
    torch.testing.assert_close(found["average"](image)["logits"], (scores[0] + scores[1] + scores[2]) / 3)
    torch.testing.assert_close(found["maximum"](image)["logits"], scores[0].maximum(scores[1]).maximum(scores[2]))
    torch.testing.assert_close(found["attention"](image)["logits"], found["average"](image)["logits"])  # so it starts
    attention = found["attention"].attention
    assert attention is not None
    nn.init.normal_(attention.score.weight)
    weights = attention(torch.stack(scores, dim=1))
    expected = sum(weights[:, [i]] * score for i, score in enumerate(scores))
    torch.testing.assert_close(found["attention"](image)["logits"], expected)
    assert (expected - found["average"](image)["logits"]).abs().max() > 0.01


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (17, 30)], ids=str)
def test_attention_is_a_share_of_one_at_every_pixel(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    attention = Attention(scales=3, num_classes=2, channels=16)
    nn.init.normal_(attention.score.weight)
    weights = attention(torch.randn(2, 3, 2, *size))
    assert weights.shape == (2, 3, *size)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, *size))
    assert weights.std(dim=1).min() > 1e-3


def test_attention_prefers_the_scale_that_it_is_told_to() -> None:
    """A bias is a preference everywhere: softmax of (0, ln 3) is (1/4, 3/4)."""
    model = MultiScale(Probe(), 2, [0.5, 1.0], "attention")
    model.attention.score.bias.data = torch.tensor([1.0, 3.0]).log()
    scores = torch.stack([torch.zeros(1, 2, 9, 9), torch.ones(1, 2, 9, 9)], dim=1)
    torch.testing.assert_close(model.fuse(scores), torch.full((1, 2, 9, 9), 0.75))


def test_the_shared_weights_learn_once_from_each_scale(image: Tensor) -> None:
    """Their gradient is the sum of those that the scales have alone, each by its share of a third."""
    network = Probe().double()
    image, pull = image.double(), torch.randn(2, 2, 8, 12).double()
    whole = MultiScale(network, 2, SCALES, "average")(image)["logits"]
    (found,) = torch.autograd.grad((whole * pull).sum(), network.conv.weight)
    alone = [torch.autograd.grad((s * pull / 3).sum(), network.conv.weight)[0] for s in by_hand(network, image)]
    torch.testing.assert_close(found, alone[0] + alone[1] + alone[2])
    assert all(gradient.abs().min() > 0 for gradient in alone)
    assert sum(p.numel() for p in MultiScale(network, 2, SCALES, "average").parameters()) == 2 * 27 + 2


@pytest.mark.parametrize(
    ("size", "seen"),
    [((1, 1), [(1, 1)] * 3), ((7, 5), [(4, 3), (6, 4), (7, 5)]), ((360, 480), [(180, 240), (270, 360), (360, 480)])],
    ids=str,
)
def test_sizes_are_rounded_up(size: tuple[int, int], seen: list[tuple[int, int]]) -> None:
    network = Probe()
    assert MultiScale(network, 2)(torch.randn(1, 3, *size))["logits"].shape == (1, 2, *size)
    assert network.sizes == seen


def test_thirds_are_thirds() -> None:
    network = Probe()
    MultiScale(network, 2, [1 / 3, 2 / 3, 1], "average")(torch.randn(1, 3, 9, 30))
    assert network.sizes == [(3, 10), (6, 20), (9, 30)]


def test_each_scale_can_be_supervised(image: Tensor) -> None:
    network = Probe()
    output = MultiScale(network, 2, SCALES, "maximum", aux=True)(image)
    assert list(output) == ["logits", "aux"]
    for found, expected in zip(output["aux"], by_hand(network, image), strict=True):
        torch.testing.assert_close(found, expected)
    target = torch.randint(0, 2, (2, 8, 12))
    losses = [F.cross_entropy(scores, target) for scores in (output["logits"], *output["aux"])]
    result = build_loss([{"name": "cross_entropy"}], aux_weight=1.0)(output, target)
    torch.testing.assert_close(result["loss"], sum(losses))  # the paper's 1 + S losses


def test_what_the_network_has_beside_its_scores_is_kept() -> None:
    options = {"aux": True, "presence": True, "width": 4}
    model = build(
        "multi_scale", 3, network="encnet", network_options=options, scales=[0.5, 1], fusion="average"
    ).train()
    output = model(torch.randn(2, 3, 20, 33))
    assert [x.shape for x in output["aux"]] == [(2, 3, 20, 33)] * 2
    assert output["presence"].shape == (2, 3)
    build_loss([{"name": "cross_entropy"}])(output, torch.randint(0, 3, (2, 20, 33)))["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())


def test_it_trains_and_predicts(tmp_path: Path) -> None:
    write_scenes(tmp_path / "data", train=2, val=1, size=(32, 48))
    changes: dict[str, Any] = {
        "data.path": str(tmp_path / "data"),
        "data.crop": [32, 32],
        "data.workers": 0,
        "steps": 2,
    }
    changes |= {"model.options.fusion": "attention", "model.options.aux": True, "optimiser.ema": None, "batch_size": 2}
    recipe = default_recipe("multi_scale").changed(changes)
    assert train(recipe, tmp_path / "run").best >= 0
    predictor = load(tmp_path / "run", device="cpu")
    assert isinstance(predictor.model, MultiScale)
    assert predictor.model.attention.score.weight.any()  # it was zero, and has learnt
    assert predictor.predict(torch.zeros(20, 30, 3, dtype=torch.uint8).numpy()).labels.shape == (20, 30)


def test_weights_are_not_downloaded_to_be_replaced() -> None:
    options = {"network": "fpn", "network_options": {"encoder": "resnet18", "pretrained": True}, "aux": True}
    wanted = {"network": "fpn", "network_options": {"encoder": "resnet18", "pretrained": False}, "aux": True}
    assert without_download(options) == wanted
    assert options["network_options"] == {"encoder": "resnet18", "pretrained": True}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fusion": "atention"},
            'fusion must be one of average, maximum, attention; got "atention". Did you mean "attention"',
        ),
        ({"scales": []}, "scales must be numbers above 0"),
        ({"scales": [0.5, 0]}, "scales must be numbers above 0"),
        ({"scales": "0.5"}, "scales must be numbers above 0"),
        ({"scales": 0.5}, "scales must be numbers above 0"),
        ({"scales": [float("inf")]}, "scales must be numbers above 0"),
        ({"scales": [True]}, "scales must be numbers above 0"),
        ({"network": "fast_scn"}, 'There is no model "fast_scn". Did you mean "fast_scnn"?'),
        ({"network_options": {"axu": True}}, 'fast_scnn has no option "axu". Did you mean "aux"?'),
        ({"network_options": ["aux"]}, "network_options must be names with values"),
    ],
)
def test_what_cannot_be_built_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        build("multi_scale", 3, **options)
    assert message in str(error.value)
