"""DecoupledNet's sizes, its bridge against autograd, and the published inference in plain steps."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.models.decouplednet import DecoupledNet


def count(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def fresh(side: int = 75, classes: int = 4, batch: int = 2, **options: object) -> tuple[DecoupledNet, Tensor]:
    """A small network whose scores have something to say, and images that pool5 has 3 x 3 positions of."""
    torch.manual_seed(0)
    model = DecoupledNet(classes, width=2, window=2, **options).double()  # type: ignore[arg-type]
    image = torch.randn(batch, 3, side, side, dtype=torch.float64)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the average of all that it sees; nearly untouched, it lets nothing through
    with torch.no_grad():
        nn.init.normal_(model.classifier.score.weight)
        model.classifier.score.bias -= model.classify(image).scores.mean(dim=0)  # some above zero, some below
        nn.init.normal_(model.segmentation.score.weight)
        model.train()(image)
    return model, image


def test_the_full_network_has_the_papers_sizes_and_counts() -> None:
    with torch.device("meta"):
        model, image = DecoupledNet(21).eval(), torch.empty(1, 3, 320, 320)
        seen = model.classify(image)
        assert model.classifier.back(seen, torch.empty(1, 20)).shape == seen.pool5.shape == (1, 512, 10, 10)
        assert model.segment(seen, torch.empty(1, 20)).shape == (1, 2, 320, 320)
    assert seen.scores.shape == (1, 20)
    assert seen.fc6.shape == seen.fc7.shape == (1, 4096, 4, 4)
    bridge = count(model.norm_pool5) + count(model.norm_back)
    assert (bridge, count(model.segmentation) + bridge) == (2048, 173_107_906)
    assert count(model.classifier) == 134_342_484
    assert model.segmentation.fc6[0].weight.shape == (2048, 1024, 7, 7)


@pytest.mark.parametrize("side", [40, 75, 161])
def test_the_bridge_is_the_gradient_of_the_scores_by_pool5(side: int) -> None:
    model, image = fresh(side, classes=6)
    seen = model.classify(image)
    amounts = torch.rand(2, 5, dtype=torch.float64)
    amounts[0] = F.one_hot(torch.tensor(3), 5)
    pool5 = seen.pool5.detach().requires_grad_()
    scores = model.classifier.score(F.relu(model.classifier.fc7(F.relu(model.classifier.fc6(pool5)))))
    scores = F.adaptive_max_pool2d(scores, 1).flatten(1)
    torch.testing.assert_close(scores, seen.scores)
    (expected,) = torch.autograd.grad((scores * amounts).sum(), pool5)
    assert expected.abs().sum(dim=(1, 2, 3)).min() > 1e-3
    torch.testing.assert_close(model.classifier.back(seen, amounts), expected)


def published(model: DecoupledNet, image: Tensor) -> Tensor:
    """Probabilities `(K, H, W)` of one image, step by step as DecoupledNet_inference.m goes."""
    seen = model.classify(image)
    classes = seen.scores.shape[1]
    cls_score = 1 / (1 + (-seen.scores[0]).exp())
    score_map = torch.zeros(classes + 1, *image.shape[-2:], dtype=image.dtype)
    label = torch.tensor([s if s > 0.5 else 0.0 for s in cls_score.tolist()], dtype=image.dtype)
    score_map[0] = model.segment(seen, label[None])[0].softmax(0)[0]
    cidx = [0]
    for j in range(classes):
        if cls_score[j] > 0.5:
            label = torch.zeros(classes, dtype=image.dtype)
            label[j] = cls_score[j]
            score_map[j + 1] = model.segment(seen, label[None])[0].softmax(0)[1]
            cidx.append(j + 1)
    score_map[cidx] += (score_map.sum(0) <= 0).to(image.dtype)
    return score_map / score_map.sum(0)


def test_logits_are_the_published_probabilities() -> None:
    model, image = fresh(classes=6, batch=4)
    model.eval()
    with torch.no_grad():
        logits = model(image)["logits"]
        expected = torch.stack([published(model, x[None]) for x in image])
        there = model.classify(image).scores > 0
    assert there.any() and not there.all()
    torch.testing.assert_close(logits.exp(), expected.clamp(min=1e-6))
    assert torch.equal((logits[:, 1:] > math.log(1.01e-6)).flatten(2).any(2), there)


def test_pixels_that_nothing_wants_are_shared_by_what_is_there() -> None:
    model, image = fresh(classes=4, batch=1)
    with torch.no_grad():
        model.eval().classifier.score.bias[:] = torch.tensor([50.0, -50.0, 50.0], dtype=torch.float64)

    def nothing(seen: object, amounts: Tensor) -> Tensor:
        beside = 0.0 if (amounts > 0).sum() > 1 else 2000.0  # a softmax of exactly 0 in what is asked for
        return torch.stack([torch.full((1, 75, 75), beside), torch.full((1, 75, 75), 1000.0)], dim=1).double()

    model.segment = nothing  # type: ignore[method-assign, assignment]
    with torch.no_grad():
        logits = model(image)["logits"][0, :, 0, 0]
    torch.testing.assert_close(logits.exp(), torch.tensor([1 / 3, 1 / 3, 1e-6, 1 / 3], dtype=torch.float64))


@pytest.mark.parametrize("training", [True, False])
def test_the_background_may_be_any_class(training: bool) -> None:
    first, image = fresh(classes=4)
    last, _ = fresh(classes=4, background=3)
    last.load_state_dict(first.state_dict())
    with torch.no_grad():
        expected = first.train(training)(image)["logits"]
        found = last.train(training)(image)["logits"]
    assert torch.equal(found, expected[:, [1, 2, 3, 0]])


def test_training_at_once_teaches_the_classifier_too_but_not_through_the_bridge() -> None:
    model, image = fresh()
    model.train()(image)["logits"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.zero_grad(set_to_none=True)
    model.segment(model.classify(image), torch.ones(2, 3, dtype=torch.float64)).sum().backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert grads["classifier.fc6.weight"] is None and grads["classifier.score.weight"] is None
    assert grads["classifier.convolutions.0.conv1_1.weight"] is not None


def test_presence_is_one_score_an_image_and_class() -> None:
    model, image = fresh(presence=True, background=1)
    for training in (True, False):
        output = model.train(training)(image)
        assert list(output) == ["logits", "presence"]
        assert output["presence"].shape == (2, 4)
        assert torch.equal(output["presence"][:, [0, 2, 3]], model.classify(image).scores)
        assert not output["presence"][:, 1].any()


def test_a_class_of_no_image_costs_no_pass() -> None:
    model, image = fresh(classes=4)
    passes: list[int] = []
    model.segmentation.register_forward_hook(lambda *_: passes.append(1))
    model.eval()
    for bias, expected in ((-50.0, 1), (50.0, 4)):
        passes.clear()
        nn.init.constant_(model.classifier.score.bias, bias)
        model(image)
        assert len(passes) == expected


def test_packed_positions_change_nothing() -> None:
    packed, image = fresh(side=90)
    plain, _ = fresh(side=90, packed_indices=False)
    plain.load_state_dict(packed.state_dict())
    with torch.no_grad():
        assert torch.equal(packed.eval()(image)["logits"], plain.eval()(image)["logits"])


def test_weights_start_as_the_authors() -> None:
    torch.manual_seed(0)
    model = DecoupledNet(21, width=16)
    for conv in (model.segmentation.fc6[0], model.segmentation.deconvolutions[0][0][0], model.segmentation.score):
        assert conv.weight.std().item() == pytest.approx(0.01, rel=0.15)
        assert not conv.bias.any()
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 2 + 3 + 13
    assert {norm.eps for norm in norms} == {1e-9}
    assert {round(value, 9) for norm in norms for value in norm.bias.tolist()} == {0.001}
    assert sum(isinstance(p, nn.BatchNorm2d) for p in DecoupledNet(3, width=1, batch_norm=True).modules()) == 18 + 13


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "decouplednet needs a background and at least one class beside it; got 1 class"),
        ({"num_classes": 3, "background": 3}, "background must be one of the classes, 0 to 2; got 3"),
        ({"num_classes": 3, "window": 0}, "window must be 1 or more; got 0"),
    ],
)
def test_what_cannot_be_built_says_why(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DecoupledNet(**options)
