"""Gridding against closed forms, and an own analysis of variance in plain loops."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perpixel.analyze.gridding import gridding, gridding_by_layer, largest_dilation
from perpixel.core.errors import UserError
from perpixel.models.backbones.drn import DRN

ROWS, COLUMNS = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")


def comb(period: int) -> Tensor:
    return ((ROWS % period == 0) & (COLUMNS % period == 0)).float()[None]


def checkerboard() -> Tensor:
    return ((ROWS + COLUMNS) % 2)[None]


@pytest.mark.parametrize("period", [2, 4, 8])
def test_one_phase_alone_has_the_number_of_phases(period: int) -> None:
    assert gridding(comb(period), period) == pytest.approx(period**2)


@pytest.mark.parametrize("period", [2, 4])
def test_a_checkerboard(period: int) -> None:
    assert gridding(checkerboard(), period) == pytest.approx(2)
    assert gridding(2 * checkerboard() - 1, period) == math.inf


@pytest.mark.parametrize("level", [0.5, 1.0, 3.0])
def test_a_comb_on_a_level(level: float) -> None:
    """Energy E = l^2 + (2 l + 1) / 16; the grid's is the variance over phases, (1 / 16)(1 - 1 / 16)."""
    energy, grid = level**2 + (2 * level + 1) / 16, 15 / 256
    assert gridding(comb(4) + level, 4) == pytest.approx(energy / (energy - grid))


@pytest.mark.parametrize(
    "smooth",
    [torch.zeros(1, 48, 64), torch.full((1, 48, 64), 3.0), (2 * ROWS - 5 * COLUMNS)[None], (0.1 * COLUMNS)[None]],
    ids=["zeros", "constant", "ramp", "gentle ramp"],
)
@pytest.mark.parametrize("period", [2, 4, 8])
def test_what_is_smooth_has_none(smooth: Tensor, period: int) -> None:
    assert gridding(smooth, period) == pytest.approx(1, abs=1e-9)


def test_waves_of_the_image_and_noise_have_next_to_none() -> None:
    wave = (torch.sin(ROWS / 6) * torch.cos(COLUMNS / 9))[None]
    assert gridding(wave, 4) < 1.02
    noise = torch.randn(64, 48, 64, generator=torch.Generator().manual_seed(0))
    assert gridding(noise, 4) < 1.02
    assert gridding(noise.relu(), 4) < 1.02


def test_a_grid_that_dilation_makes_of_noise() -> None:
    """Phases that were convolved alone, each of another brightness."""
    generator = torch.Generator().manual_seed(0)
    phases = torch.rand(1, 4, 4, generator=generator).repeat(1, 12, 16)
    assert gridding(phases, 4) > 1.2
    assert gridding(phases.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :48, :64], 8) > 1.2


def by_hand(values: np.ndarray, d: int) -> float:
    """The definition, window by window."""
    between, within, energy = [], [], []
    for channel in values:
        for top in range(0, channel.shape[0] - 2 * d + 1, 2 * d):
            for left in range(0, channel.shape[1] - 2 * d + 1, 2 * d):
                window = channel[top : top + 2 * d, left : left + 2 * d]
                phases = [window[r::d, c::d].ravel() for r in range(d) for c in range(d)]
                between.append(np.var([p.mean() for p in phases], ddof=1))
                within.append(np.mean([np.var(p, ddof=1) for p in phases]))
                energy.append(np.mean(window**2))
    grid = (1 - 1 / d**2) * max(np.mean(between) - np.mean(within) / 4, 0)
    return float(np.mean(energy) / (np.mean(energy) - grid))


@pytest.mark.parametrize("period", [2, 3, 5])
def test_the_definition_in_plain_loops(period: int) -> None:
    values = np.random.default_rng(0).random((3, 37, 41)) + 2 * comb(period)[0, :37, :41].numpy()
    assert gridding(torch.from_numpy(values), period) == pytest.approx(by_hand(values, period))
    assert gridding(torch.from_numpy(values)[None], period) == pytest.approx(by_hand(values, period))


def test_scale_does_not_count() -> None:
    values = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(1))
    assert gridding(values * 1e-8, 2) == pytest.approx(gridding(values, 2))


@pytest.mark.parametrize(("shape", "period", "said"), [((1, 7, 9), 4, "8 x 8 or more"), ((1, 9, 9), 1, "2 or more")])
def test_maps_that_are_too_small(shape: tuple[int, ...], period: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        gridding(torch.zeros(shape), period)


def test_layers_of_a_network() -> None:
    """Every level of a DRN whose map holds a window, in order, measured on its own map."""
    torch.manual_seed(0)
    model, image = DRN("drn_c_26", width=0.125).eval(), torch.randn(1, 3, 128, 160)
    found = gridding_by_layer(model, image, ["levels.5", "levels.2"])
    with torch.no_grad():
        maps = model(image)
    assert list(found) == ["levels.2", "levels.5"]
    for name, level in (("levels.2", 2), ("levels.5", 5)):
        assert found[name] == pytest.approx(by_hand(maps[level][0].double().numpy(), 4), rel=1e-4)
    assert set(gridding_by_layer(model, image)) >= {"levels.0", "levels.7", "stem"}


def test_the_period_is_the_largest_dilation() -> None:
    assert largest_dilation(DRN("drn_a_18", width=0.125)) == 4
    assert largest_dilation(nn.Conv2d(1, 1, 3)) == 1
    with pytest.raises(UserError, match="no dilated convolution"):
        gridding_by_layer(nn.Sequential(nn.Conv2d(1, 1, 3)), torch.zeros(1, 1, 9, 9))
