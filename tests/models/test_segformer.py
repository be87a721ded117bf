"""SegFormer: its multiply-adds, the attention against a sum by hand, the epsilons, drop path, small images."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from perpixel.core.errors import UserError
from perpixel.models.backbones.mit import EfficientSelfAttention, MixFFN, MixTransformer, PatchMerging
from perpixel.models.segformer import SegFormer


@pytest.mark.parametrize(
    ("variant", "size", "published"),
    [("b0", 512, 8.4), ("b1", 512, 15.9), ("b2", 512, 62.4), ("b5", 640, 183.3)],
)
def test_multiply_adds_are_those_of_the_papers_table(variant: str, size: int, published: float) -> None:
    with torch.device("meta"):
        model, image = SegFormer(150, variant=variant).eval(), torch.empty(1, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        model(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(published, abs=0.2)  # theirs count norms too


def test_stages_are_finest_first_and_rounded_up() -> None:
    encoder = MixTransformer("b0").eval()
    with torch.no_grad():
        maps = encoder(torch.randn(2, 3, 65, 100))
    assert [tuple(x.shape) for x in maps] == [(2, 32, 17, 25), (2, 64, 9, 13), (2, 160, 5, 7), (2, 256, 3, 4)]
    assert encoder.channels == (32, 64, 160, 256)
    assert encoder.strides == (4, 8, 16, 32)


@pytest.mark.parametrize(("size", "reduction"), [((8, 12), 4), ((7, 9), 2), ((3, 5), 1)])
def test_attention_is_a_weighted_sum_over_the_reduced_map(size: tuple[int, int], reduction: int) -> None:
    torch.manual_seed(0)
    layer = EfficientSelfAttention(6, heads=2, reduction=reduction).double().eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, *size, 6, dtype=torch.float64)
    with torch.no_grad():
        found = layer(x)[0].reshape(-1, 6)
        seen = seen_by_hand(layer, x[0], reduction)
        torch.testing.assert_close(found, attention_by_hand(layer, x[0].reshape(-1, 6), seen))


def seen_by_hand(layer: EfficientSelfAttention, x: Tensor, reduction: int) -> Tensor:
    """(h, w, C) -> (places, C): whole windows only, each through the kernel, then normalised."""
    if layer.reduce is None or layer.norm is None:
        return x.reshape(-1, x.shape[2])
    rows, columns = x.shape[0] // reduction, x.shape[1] // reduction
    windows = [
        x[r * reduction : (r + 1) * reduction, c * reduction : (c + 1) * reduction]
        for r in range(rows)
        for c in range(columns)
    ]
    y = torch.stack([torch.einsum("ocij,ijc->o", layer.reduce.weight, w) for w in windows]) + layer.reduce.bias
    centred = y - y.mean(1, keepdim=True)
    variance = (centred**2).mean(1, keepdim=True)
    return centred / (variance + 1e-5).sqrt() * layer.norm.weight + layer.norm.bias


def attention_by_hand(layer: EfficientSelfAttention, x: Tensor, seen: Tensor) -> Tensor:
    """One place and one head after the other; head n has the channels from n C / heads on."""
    queries, keys, values = layer.query(x), layer.key(seen), layer.value(seen)
    per_head = x.shape[1] // layer.heads
    result = torch.zeros_like(x)
    for place in range(len(x)):
        for head in range(layer.heads):
            of = slice(head * per_head, (head + 1) * per_head)
            scores = torch.stack([queries[place, of] @ key[of] for key in keys]) / math.sqrt(per_head)
            weights = scores.exp() / scores.exp().sum()
            result[place, of] = sum(w * value[of] for w, value in zip(weights, values, strict=True))
    return layer.project(result)


def test_mix_ffn_looks_at_neighbours_and_no_further() -> None:
    torch.manual_seed(0)
    layer, x = MixFFN(4, 16), torch.randn(1, 9, 9, 4)
    moved = x.clone()
    moved[0, 4, 4] += 1
    changed = (layer(moved) - layer(x)).abs().amax(dim=(0, 3)) > 1e-6
    rows, columns = changed.nonzero().unbind(1)
    assert len(rows) == 9
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 5, 3, 5)


def test_epsilons_are_the_authors() -> None:
    encoder = MixTransformer("b0")
    owners = [(parent, norm.eps) for parent in encoder.modules() for norm in parent.children() if is_norm(norm)]
    inner = [eps for parent, eps in owners if isinstance(parent, PatchMerging | EfficientSelfAttention)]
    outer = [eps for parent, eps in owners if not isinstance(parent, PatchMerging | EfficientSelfAttention)]
    assert inner == [1e-5] * (4 + 6)  # patches, and the reductions of all stages but the last
    assert outer == [1e-6] * (2 * 8 + 4)  # two a block, and one a stage
    assert {m.eps for m in MixTransformer("b0", norm_eps=1e-5).modules() if isinstance(m, nn.LayerNorm)} == {1e-5}


def is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm)


def test_drop_path_rises_from_0_to_its_last_block() -> None:
    rates = [block.drop_path.p for stage in MixTransformer("b2", drop_path=0.3).stages for block in stage[1:-1]]
    assert len(rates) == 3 + 4 + 6 + 3
    assert rates == pytest.approx([0.02 * i for i in range(16)])


def test_drop_path_leaves_out_branches_of_single_images() -> None:
    torch.manual_seed(0)
    block = MixTransformer("b0", drop_path=0.5).train().stages[3][2]
    x = torch.randn(1, 1, 1, 256).expand(64, 1, 1, 256)
    assert block.drop_path.p == 0.5
    distinct = (block(x) * 1e4).round().unique(dim=0)
    assert len(distinct) == 4  # with and without each of the two branches
    assert len(block.eval()(x).unique(dim=0)) == 1


def test_the_head_joins_the_coarsest_first() -> None:
    model = SegFormer(5).eval()
    with torch.no_grad():
        model.head.fuse.conv.weight[:, :768] = 0  # all but the finest
        finest_only = [torch.randn(1, c, 8, 8) for c in model.encoder.channels]
        others = [finest_only[0], *(torch.randn_like(x) for x in finest_only[1:])]
        assert model.head(finest_only).equal(model.head(others))


def test_a_small_image_is_one_with_its_last_row_and_column_repeated() -> None:
    torch.manual_seed(0)
    model = SegFormer(5).eval()
    image = torch.randn(1, 3, 20, 40)
    padded = torch.cat([image, image[:, :, -1:].expand(1, 3, 9, 40)], dim=2)
    with torch.no_grad():
        found, expected = model(image)["logits"], model(padded)["logits"][:, :, :20]
    torch.testing.assert_close(found, expected)


def test_initial_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    encoder = MixTransformer("b1")
    block = encoder.stages[3][1]
    assert block.ffn.expand.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert block.ffn.depthwise.weight.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.02)
    assert encoder.stages[3][0].conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.02)
    assert not any(p.any() for name, p in encoder.named_parameters() if name.endswith("bias"))


def test_an_unknown_variant_says_which_there_are() -> None:
    with pytest.raises(UserError, match='variant must be one of b0, b1, b2, b3, b4, b5; got "b6"'):
        SegFormer(5, variant="b6")
