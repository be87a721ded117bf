"""The weighted sum and its building from a recipe's terms."""

import pytest
import torch
import torch.nn.functional as F

from perpixel.core.errors import UserError
from perpixel.losses import LOSSES, CrossEntropy, Dice, Presence, WeightedSum, build_loss


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(0, 3, (2, 6, 8), generator=generator)
    target[0, 0] = 255
    return torch.randn(2, 3, 6, 8, generator=generator).requires_grad_(), target


def test_is_the_weighted_sum_of_its_terms():
    logits, target = scene()
    result = WeightedSum([("cross_entropy", 2.0, CrossEntropy()), ("dice", 0.5, Dice())])({"logits": logits}, target)
    assert set(result) == {"loss", "cross_entropy", "dice"}
    entropy, dice = F.cross_entropy(logits, target, ignore_index=255), Dice()(logits, target)
    torch.testing.assert_close(result["loss"], 2 * entropy + 0.5 * dice)
    torch.testing.assert_close(result["cross_entropy"], entropy)
    assert result["loss"].requires_grad
    assert not result["cross_entropy"].requires_grad
    assert not result["dice"].requires_grad


@pytest.mark.parametrize("as_list", [False, True])
def test_auxiliary_outputs_get_the_first_term_at_the_target_s_size(as_list):
    logits, target = scene()
    small = torch.randn(2, 3, 3, 4, requires_grad=True)
    large = torch.randn(2, 3, 6, 8, requires_grad=True)
    aux = [small, large] if as_list else small
    result = WeightedSum([("first", 2.0, CrossEntropy()), ("dice", 1.0, Dice())], aux_weight=0.3)(
        {"logits": logits, "aux": aux, "other": torch.zeros(2, 3)}, target
    )
    resized = F.interpolate(small, size=(6, 8), mode="bilinear", align_corners=False)
    expected = F.cross_entropy(resized, target, ignore_index=255)
    if as_list:
        expected = expected + F.cross_entropy(large, target, ignore_index=255)
    torch.testing.assert_close(result["aux"], expected.detach())
    main = 2 * F.cross_entropy(logits, target, ignore_index=255) + Dice()(logits, target)
    torch.testing.assert_close(result["loss"], main + 0.3 * 2 * expected)
    result["loss"].backward()
    assert small.grad is not None
    assert small.grad.any()


def test_presence_is_added_by_its_weight():
    logits, target = scene()
    scores = torch.randn(2, 3, requires_grad=True)
    output = {"logits": logits, "presence": scores}
    expected = Presence()(scores, target)
    for weight, loss in ((0.2, build_loss([{"name": "dice"}])), (0.7, build_loss([{"name": "dice"}], None, 0.4, 0.7))):
        result = loss(output, target)
        assert set(result) == {"loss", "dice", "presence"}
        torch.testing.assert_close(result["presence"], expected)
        torch.testing.assert_close(result["loss"], Dice()(logits, target) + weight * expected)
        assert not result["presence"].requires_grad
        (gradient,) = torch.autograd.grad(result["loss"], scores)
        torch.testing.assert_close(gradient, weight * torch.autograd.grad(expected, scores, retain_graph=True)[0])


def test_pixel_weights_reach_every_term_and_aux():
    logits, target = scene()
    terms = [{"name": name} for name in LOSSES]
    assert len(terms) == 4
    result = build_loss(terms)({"logits": logits, "aux": logits}, target, torch.zeros(target.shape))
    assert {name: value.item() for name, value in result.items()} == dict.fromkeys([*LOSSES, "loss", "aux"], 0.0)


def test_builds_terms_with_options_and_class_weights():
    weights = torch.tensor([1.0, 2.0, 3.0])
    loss = build_loss(
        [
            {"name": "cross_entropy", "reduction": "valid"},
            {"name": "ohem", "weight": 0.25, "min_kept": 5, "class_weights": [3.0, 1.0, 1.0]},
            {"name": "lovasz", "per_image": True},
        ],
        weights,
        aux_weight=0.2,
    )
    assert loss.weights == {"cross_entropy": 1.0, "ohem": 0.25, "lovasz": 1.0}
    assert loss.aux_weight == 0.2
    assert loss.losses["cross_entropy"].class_weights.tolist() == [1, 2, 3]
    assert loss.losses["cross_entropy"].reduction == "valid"
    assert loss.losses["ohem"].class_weights.tolist() == [3, 1, 1]
    assert loss.losses["ohem"].min_kept == 5
    assert loss.losses["lovasz"].per_image
    logits, target = scene()
    torch.testing.assert_close(
        loss({"logits": logits}, target)["cross_entropy"], CrossEntropy(weights, "valid")(logits, target).detach()
    )


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([{"name": "lovas"}], 'no loss "lovas".*Did you mean "lovasz"'),
        ([{"weight": 1.0}], 'no loss "": use one of cross_entropy, ohem, dice, lovasz'),
        (
            [{"name": "ohem", "min_keep": 3}],
            'no option "min_keep": it takes weight, threshold.*Did you mean "min_kept"',
        ),
        ([{"name": "dice", "class_weights": [1.0]}], 'no option "class_weights"'),
        ([{"name": "cross_entropy", "reduction": "average"}], "cannot be built: reduction must be one of"),
        ([{"name": "dice"}, {"name": "dice"}], "do not go together.*different names"),
        ([], "do not go together"),
    ],
)
def test_wrong_terms_are_refused(terms, message):
    with pytest.raises(UserError, match=message):
        build_loss(terms)


def test_reserved_names_are_refused():
    for name in ("loss", "aux", "presence"):
        with pytest.raises(ValueError, match="different names"):
            WeightedSum([(name, 1.0, Dice())])
