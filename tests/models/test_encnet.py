"""EncNet's encoding by loop, its context module, and what its options add."""

import math

import pytest
import torch
from torch import nn

from perpixel.models.encnet import ContextEncoding, EncNet, Encoding


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_encoding_by_loop() -> None:
    torch.manual_seed(0)
    layer, x = Encoding(3, 4).double(), torch.randn(2, 3, 2, 5).double()
    expected = torch.zeros(2, 4, 3, dtype=torch.float64)
    with torch.no_grad():
        for image in range(2):
            for row in range(2):
                for column in range(5):
                    parts = [x[image, :, row, column] - layer.codewords[k] for k in range(4)]
                    powers = [math.exp(layer.scale[k] * (parts[k] ** 2).sum()) for k in range(4)]
                    for k in range(4):
                        expected[image, k] += powers[k] / sum(powers) * parts[k]
        torch.testing.assert_close(layer(x), expected)


def test_codewords_and_scales_start_in_the_authors_ranges() -> None:
    layer = Encoding(512, 32)
    limit = 1 / math.sqrt(32 * 512)
    assert layer.codewords.abs().max() <= limit and layer.codewords.std() > limit / 2
    assert -1 <= layer.scale.min() < layer.scale.max() <= 0


def test_the_context_module_averages_over_codewords_and_keeps_what_it_weighs() -> None:
    torch.manual_seed(0)
    module, x = ContextEncoding(6, 4).eval(), torch.rand(2, 6, 3, 3)
    with torch.no_grad():
        codes = module.encoding(module.project(x)) / math.sqrt(1 + 1e-5)  # a batch norm that has seen nothing
        summary = codes.clamp(min=0).sum(1) / 4
        gamma = 1 / (1 + (-(summary @ module.weigh.weight.T + module.weigh.bias)).exp())
        found, found_summary = module(x)
    torch.testing.assert_close(found_summary, summary)
    torch.testing.assert_close(found, x * (1 + gamma[:, :, None, None]))
    assert module.norm.num_features == 4  # over codewords, not channels


@pytest.mark.parametrize("size", [(1, 1), (17, 30)])
def test_presence_is_one_score_an_image_and_class(size: tuple[int, int]) -> None:
    model = EncNet(5, aux=True, presence=True, lateral=True, width=4).train()
    output = model(torch.randn(1, 3, *size))
    assert {key: value.shape for key, value in output.items()} == {
        "logits": (1, 5, *size),
        "aux": (1, 5, *size),
        "presence": (1, 5),
    }
    assert list(model.eval()(torch.randn(1, 3, *size))) == list(output)


def test_presence_trains_the_encoding_and_not_the_score() -> None:
    model = EncNet(5, presence=True, width=4).train()
    model(torch.randn(2, 3, 33, 33))["presence"].square().sum().backward()
    assert all(p.grad is not None for part in (model.presence, model.context.encoding) for p in part.parameters())
    assert all(p.grad is None for part in (model.score, model.context.weigh) for p in part.parameters())


def test_what_the_options_add() -> None:
    with torch.device("meta"):
        plain, presence = EncNet(59), EncNet(59, presence=True)
        lateral, aux = EncNet(59, lateral=True), EncNet(59, aux=True)
    assert count(presence) - count(plain) == 512 * 59 + 59
    assert count(aux) - count(plain) == 2_374_971
    assert count(lateral) - count(plain) == (512 + 1024) * 512 + 3 * 512 * 512 * 9 + 3 * 2 * 512


def test_the_first_block_of_a_stage_has_the_dilation_of_the_stage_before() -> None:
    with torch.device("meta"):
        stages = EncNet(3).backbone.stages
    found = [[block.convs[1].conv.dilation[0] for block in stage] for stage in stages]
    assert found == [[1] * 3, [1] * 4, [1] + [2] * 5, [2, 4, 4]]


def test_logits_reach_from_corner_to_corner() -> None:
    model, scores = EncNet(3, width=4).eval(), []
    model.score.register_forward_hook(lambda _, __, output: scores.append(output))
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 24, 32))["logits"]
    assert scores[0].shape == (1, 3, 3, 4)
    torch.testing.assert_close(logits[..., ::23, ::31], scores[0][..., ::2, ::3])
