"""Effective fields against closed forms: a box, a stack of random convolutions, a unit in a corner."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from perpixel.analyze.centred import CentredMean
from perpixel.analyze.effective import EffectiveField, effective_field, fit_gaussian, gradient_energy, pixel_of
from perpixel.analyze.fields import Field
from perpixel.core.errors import UserError

SEEDS = 8


def box(side: int) -> nn.Conv2d:
    conv = nn.Conv2d(3, 1, side, padding=side // 2, bias=False)
    nn.init.ones_(conv.weight)
    return conv


def random_stack(count: int, channels: int = 32) -> nn.Sequential:
    convs = [nn.Conv2d(1 if n == 0 else channels, channels, 3, padding=1, bias=False) for n in range(count)]
    for conv in convs:
        nn.init.normal_(conv.weight)
    return nn.Sequential(*convs)


def test_a_box_weighs_every_pixel_alike() -> None:
    energy, centre = gradient_energy(nn.Sequential(box(9)), torch.randn(1, 3, 21, 31), "0", channel=0)
    assert centre == (10, 15)
    expected = np.zeros((21, 31))
    expected[6:15, 11:20] = 3  # three channels, each of gradient 1
    np.testing.assert_allclose(energy, expected, atol=1e-6)
    field = effective_field(nn.Sequential(box(9)), [torch.randn(1, 3, 21, 31)], "0", 0)
    assert field.side(1.0) == 9
    assert field.side(0.9) == 9  # 7 x 7 of 81 are 60 %
    assert field.side(0.5) == 7
    assert field.side(0.3) == 5


@pytest.mark.parametrize("count", [3, 6, 12])
def test_random_convolutions_make_a_gaussian_that_grows_with_the_root_of_their_number(count: int) -> None:
    """Weights of mean 0: energies of steps of -1, 0, 1 pixel add up, each of variance 2 / 3 (Luo et al., section 2)."""
    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        image = [torch.zeros(1, 1, 4 * count + 5, 4 * count + 5)] * 4
        found.append(effective_field(random_stack(count), image, str(count - 1), seed=seed).energy)
    field = EffectiveField(sum(found) / SEEDS, SEEDS)
    away = np.arange(len(field.energy)) - len(field.energy) // 2
    expected = math.sqrt(2 * count / 3)
    for axis in (0, 1):
        profile = field.energy.sum(axis=axis)
        assert math.sqrt((profile * away**2).sum()) == pytest.approx(expected, rel=0.1)
    if count >= 6:  # three boxes do not make a bell yet
        assert field.gaussian().sigma == pytest.approx((expected, expected), rel=0.12)
        assert field.gaussian().fits > 0.95
        assert field.side() < 2 * count + 1, "less than the theoretical field"


def test_signs_estimate_the_sum_over_channels() -> None:
    torch.manual_seed(0)
    model, image = random_stack(2, channels=3), torch.randn(1, 1, 15, 15)
    total = sum(gradient_energy(model, image, "1", c)[0] for c in range(3))
    many = effective_field(model, [image] * 600, "1").energy
    np.testing.assert_allclose(many / many.sum(), total / total.sum(), atol=0.02)


def test_channels_places_and_offsets() -> None:
    """Two channels that look up and down; the unit at a place, over the pixel that its field says."""
    conv = nn.Conv2d(1, 2, (3, 1), stride=2, bias=False)
    conv.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]).view(2, 1, 3, 1)
    model, image = nn.Sequential(conv), torch.randn(1, 1, 21, 9)
    for channel, row in ((0, 4), (1, 6)):
        energy, centre = gradient_energy(model, image, "0", channel, (2, 3), Field((3, 1), (2.0, 2.0), (1.0, 0.0)))
        assert np.argwhere(energy).tolist() == [[row, 6]]
        assert centre == (5, 6)


def test_pixel_of_a_map_that_covers_the_image() -> None:
    assert pixel_of((0, 0), (1, 1), (9, 31)) == (4, 15)
    assert pixel_of((3, 0), (4, 4), (4, 8)) == (3, 1)
    unknown = Field((math.inf, math.inf), (8.0, 8.0), (math.nan, math.nan))
    assert pixel_of((2, 0), (4, 8), (32, 64), unknown) == (20, 4)


def test_a_unit_that_nothing_moves() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.zeros_(conv.weight)
    field = effective_field(nn.Sequential(conv), [torch.randn(1, 1, 9, 9)], "0", 0)
    assert math.isnan(field.side())
    assert all(math.isnan(s) for s in field.gaussian().sigma)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1)).train()
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    effective_field(model, [torch.randn(1, 1, 9, 9)], "2")
    assert all(part.training for part in model.modules())
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"place": (9, 0)}, "a map of 9 x 9; there is no unit"),
        ({"channel": 1}, "has 1 channels"),
        ({"layer": "1"}, "no layer"),
    ],
)
def test_what_is_not_there(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        effective_field(nn.Sequential(nn.Conv2d(1, 1, 1)), [torch.randn(1, 1, 9, 9)], **{"layer": "0", **options})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="one image or more"):
        effective_field(nn.Sequential(nn.Conv2d(1, 1, 1)), [], "0")


def test_a_fit_finds_the_gaussian_that_it_is_given() -> None:
    x = np.arange(101) - 50
    sigma, fits = fit_gaussian(np.exp(-((x - 3) ** 2) / (2 * 6.5**2)))
    assert (sigma, fits) == (pytest.approx(6.5), pytest.approx(1.0))


def test_centred_maps_of_any_size_and_centre() -> None:
    """Against a dictionary from distance to values."""
    rng, seen, mean = np.random.default_rng(0), {}, CentredMean()
    for _ in range(6):
        height, width = rng.integers(1, 7, 2)
        values, centre = rng.random((height, width)), tuple(int(c) for c in rng.integers(-3, 9, 2))
        mean.add(values, (centre[0], centre[1]))
        for (row, column), value in np.ndenumerate(values):
            seen.setdefault((row - centre[0], column - centre[1]), []).append(value)
    found = mean.values
    for (row, column), value in np.ndenumerate(found):
        at = (row - found.shape[0] // 2, column - found.shape[1] // 2)
        assert value == pytest.approx(np.mean(seen.get(at, [0.0])))
    assert set(seen) <= {(r - found.shape[0] // 2, c - found.shape[1] // 2) for r, c in np.ndindex(*found.shape)}
