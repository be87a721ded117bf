"""Pooling that packs its positions against PyTorch's, on thousands of maps."""

import itertools
import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from perpixel.layers.unpool import max_pool, max_pool_packed, max_unpool, max_unpool_packed, pack, unpack


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check_against_pytorch(x: Tensor) -> None:
    size = (x.shape[-2], x.shape[-1])
    expected, indices = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
    values, kept = max_pool_packed(x)
    assert torch.equal(values, expected)
    assert kept.dtype == torch.uint8
    assert kept.nelement() * kept.element_size() == -(-indices.nelement() * indices.element_size() // 32)
    other = torch.randn(values.shape, generator=generator(7)).to(x.dtype)  # what is unpooled is never what was pooled
    for restored in (values, other):
        found = max_unpool_packed(restored, kept, size)
        assert torch.equal(found, F.max_unpool2d(restored, indices, 2, 2, output_size=size))


def test_random_maps_of_every_small_size() -> None:
    """Of negative and positive values, of few values (ties), of -inf and of zeros with two signs."""
    tested = 0
    for seed, (height, width) in enumerate(itertools.product(range(1, 13), range(1, 13))):
        shape = (1 + seed % 2, 1 + seed % 5, height, width)
        normal = torch.randn(shape, generator=generator(seed))
        few = torch.randint(-2, 2, shape, generator=generator(seed)).float()
        infinite = torch.where(few == 1, -torch.inf, normal)
        for x in (normal, normal - 10, few, few.clamp(max=0), infinite, -few.abs() * 0.0 * normal.sign()):
            check_against_pytorch(x)
            tested += 1
    assert tested == 864


@pytest.mark.parametrize("seed", range(20))
def test_random_maps_of_any_kind(seed: int) -> None:
    """Sizes, batch, channels, types, layout and what the values are taken from: all drawn."""
    draw = random.Random(seed)
    for _ in range(10):
        shape = (draw.randint(1, 4), draw.randint(1, 9), draw.randint(1, 40), draw.randint(1, 40))
        kinds = draw.sample([-torch.inf, torch.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -3e38, 3e38], k=draw.randint(1, 4))
        x = torch.tensor(kinds)[torch.randint(0, len(kinds), shape, generator=generator(seed))]
        share = draw.choice([0.0, 0.3, 1.0])
        x = torch.where(
            torch.rand(shape, generator=generator(seed + 1)) < share,
            torch.randn(shape, generator=generator(seed + 2)),
            x,
        )
        x = x.to(draw.choice([torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16]))
        if draw.random() < 0.3:
            x = x.contiguous(memory_format=torch.channels_last)
        if draw.random() < 0.3:
            x = x.transpose(2, 3)  # not contiguous
        check_against_pytorch(x)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.0, -torch.inf, torch.inf])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (5, 4), (7, 7)], ids=str)
def test_where_all_are_equal_the_first_wins(value: float, size: tuple[int, int]) -> None:
    x = torch.full((2, 3, *size), value)
    check_against_pytorch(x)
    assert not unpack(max_pool_packed(x)[1], 6 * -(-size[0] // 2) * -(-size[1] // 2)).any()


def test_every_order_of_four_values() -> None:
    windows = torch.tensor(list(itertools.product(range(4), repeat=4)), dtype=torch.float32)
    assert len(windows) == 256
    x = windows.view(1, 256, 2, 2)
    expected = [row.index(max(row)) for row in windows.tolist()]
    assert unpack(max_pool_packed(x)[1], 256).tolist() == expected
    check_against_pytorch(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types(dtype: torch.dtype) -> None:
    check_against_pytorch(torch.randn(2, 3, 9, 6, generator=generator(0)).to(dtype))


def test_memory_format_does_not_matter() -> None:
    x = torch.randn(2, 8, 9, 7, generator=generator(0))
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(max_pool_packed(x)[1], max_pool_packed(last)[1])
    check_against_pytorch(last)


def test_one_thirty_second_of_int64_at_segnets_sizes() -> None:
    """The first pooling of a CamVid image: 64 maps of 180 x 240 maxima."""
    x = torch.randn(1, 64, 360, 480, generator=generator(0))
    packed, indices = max_pool(x, packed=True)[1], max_pool(x, packed=False)[1]
    assert indices.dtype == torch.int64
    assert packed.nbytes == 64 * 180 * 240 // 4
    assert indices.nbytes == 32 * packed.nbytes


def test_gradients_are_pytorchs() -> None:
    gradients = []
    for packed in (True, False):
        x = torch.randint(-2, 3, (2, 3, 7, 6), generator=generator(1)).double().requires_grad_()
        values, kept = max_pool(x, packed=packed)
        weights = torch.randn(2, 3, 7, 6, generator=generator(2)).double()
        (max_unpool(values.square(), kept, (7, 6)) * weights).sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("count", range(10))
def test_packing_forgets_nothing(count: int) -> None:
    positions = torch.randint(0, 4, (count,), generator=generator(count)).to(torch.uint8)
    packed = pack(positions)
    assert packed.shape == (-(-count // 4),)
    assert torch.equal(unpack(packed, count), positions)


@pytest.mark.parametrize("size", [(4, 6), (7, 6), (5, 4), (5, 7), (3, 3)], ids=str)
def test_sizes_that_were_not_pooled_are_refused(size: tuple[int, int]) -> None:
    values, kept = max_pool_packed(torch.randn(1, 2, 5, 6))
    with pytest.raises(ValueError, match="gives 6 x 6 or one less"):
        max_unpool_packed(values, kept, size)


def test_positions_of_another_map_are_refused() -> None:
    values, kept = max_pool_packed(torch.randn(1, 2, 8, 8))
    with pytest.raises(ValueError, match="18 positions take 5 bytes; got a tensor of \\(8,\\)"):
        max_unpool_packed(values[..., :3, :3], kept, (6, 6))
