"""Zhou's procedure: on networks whose answer is known, and against a slow implementation that shares nothing with it."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perpixel.analyze.fields import receptive_fields
from perpixel.explain import Settings, measure_fields
from perpixel.explain.discrepancy import Place, cheaper, discrepancies
from perpixel.explain.empirical import support_side
from perpixel.explain.occluded import Grid, noise, occluded_batches
from perpixel.explain.search import Unit, draw_units, top_images

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from little_network import OFFSETS, QUICK, images, network


def zhou(
    model: nn.Sequential, pictures: Sequence[Tensor], layer: str, channel: int, count: int, side: int, step: int
) -> dict[tuple[int, int], float]:
    """(rows, columns from the unit, in steps) -> mean change; one image, one occluder, one pass at a time."""

    def value(picture: Tensor) -> np.ndarray:
        x = picture.clone()
        for n in range(int(layer) + 1):
            x = model[n](x)
        return x[0, channel].detach().numpy().copy()

    best = sorted(range(len(pictures)), key=lambda n: -value(pictures[n]).max())[:count]
    patch = noise(3, side)
    changes: dict[tuple[int, int], list[float]] = {}
    for n in best:
        clean = value(pictures[n])
        at = np.unravel_index(clean.argmax(), clean.shape)
        over = [math.floor(OFFSETS[layer][0] + OFFSETS[layer][1] * a + 0.5) for a in at]
        middle = [min(range(-40, 99), key=lambda i, p=p: abs(i * step + (side - 1) / 2 - p)) for p in over]
        height, width = pictures[n].shape[-2:]
        for i, top in enumerate(range(0, height - side + 1, step)):
            for j, left in enumerate(range(0, width - side + 1, step)):
                hidden = pictures[n].clone()
                hidden[0, :, top : top + side, left : left + side] = patch
                change = abs(float(value(hidden)[at] - clean[at]))
                changes.setdefault((i - middle[0], j - middle[1]), []).append(change)
    return {place: float(np.mean(values)) for place, values in changes.items()}


@pytest.mark.parametrize("layer", ["0", "3", "4"])
def test_the_slow_implementation_agrees(layer: str) -> None:
    """Every value of every map, and the sizes."""
    model, pictures = network(), images()
    found = measure_fields(model, pictures, [layer], QUICK)[0]
    assert len(found.empirical) == 3
    for unit, field in found.empirical.items():
        slow = zhou(model, pictures, layer, unit.channel, 2, 5, 2)
        fast = field.mean.values
        rows, columns = fast.shape[0] // 2, fast.shape[1] // 2
        for (row, column), value in slow.items():
            assert fast[row + rows, column + columns] == pytest.approx(value, abs=1e-5)
        assert fast.sum() == pytest.approx(sum(slow.values()), rel=1e-4)
        above = sum(v >= 0.1 * max(slow.values()) for v in slow.values())
        assert field.size() == pytest.approx(max(1.0, 2 * math.sqrt(above) - 0.8 * 4))


def test_all_layers_at_once_are_as_one_by_one() -> None:
    """Passes that are shared give each unit what its own passes give."""
    model, pictures = network(), images()
    together = measure_fields(model, pictures, ["0", "3", "4"], QUICK)
    for found in together:
        alone = measure_fields(model, pictures, [found.layer], QUICK)[0]
        assert alone.empirical.keys() == found.empirical.keys()
        for unit in found.empirical:
            np.testing.assert_allclose(found.empirical[unit].mean.values, alone.empirical[unit].mean.values, atol=1e-5)


def test_parts_of_an_image_give_what_the_whole_gives() -> None:
    model, picture = network(), images(1, (150, 170))[0]
    fields, grid, patch = receptive_fields(model), Grid((150, 170), 11, 5), noise(3, 11)
    for at in ((0, 0), (20, 18), (36, 41)):
        places = [Place(Unit("4", 1), at), Place(Unit("4", 5), (18, 20))]
        assert cheaper(places, fields, grid).parts
        parts = discrepancies(model, picture, places, grid, patch, fields)
        whole = discrepancies(model, picture, places, grid, patch, {})
        for place in places:
            np.testing.assert_allclose(parts[place], whole[place], atol=2e-6)
            assert parts[place].any()


def test_parts_are_not_taken_where_the_whole_image_decides() -> None:
    """Squeeze and excitation: a theoretical field that is wrong is found out by the value on the part."""

    class Global(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=1, keepdim=True) + 5 * x[..., 100:, 100:].mean()

    model, picture = nn.Sequential(Global()), images(1, (150, 170))[0]
    small = receptive_fields(nn.Sequential(nn.Conv2d(3, 1, 3, padding=1)))
    place = Place(Unit("0", 0), (10, 10))
    found = discrepancies(model, picture, [place], Grid((150, 170), 11, 3), noise(3, 11), small)[place]
    assert found[-1, -1] > 0


@pytest.mark.parametrize("width", [13, 21])
def test_a_box_has_its_own_size_at_every_threshold(width: int) -> None:
    """A bright spot as large as the box holds its highest value. The higher the threshold, the more of the square's corners
    is lost."""
    pictures = images(3, (80, 84))
    for n, x in enumerate(pictures):
        x[..., 25 + n : 25 + n + width, 30 : 30 + width] += 30
    along = [nn.AvgPool2d(size, stride=1, padding=(size[0] // 2, size[1] // 2)) for size in ((width, 1), (1, width))]
    found = measure_fields(nn.Sequential(*along), pictures, ["1"], Settings(1, 3, effective=1))[0]
    assert found.sizes(0.05).mean == pytest.approx(width, abs=3)
    assert found.sizes().mean == pytest.approx(width, abs=3)
    assert found.sizes(0.5).mean == pytest.approx(width, abs=4)
    assert found.theoretical is not None and found.theoretical.size == (width, width)
    assert found.effective.side(1.0) == width


def test_a_unit_that_looks_at_one_corner_of_its_field() -> None:
    """A kernel of 31 x 31 of which the upper left 9 x 9 weigh anything: its field is 9 wide and lies there."""
    conv = nn.Conv2d(3, 3, 31, padding=15, bias=False, groups=3)
    nn.init.zeros_(conv.weight)
    conv.weight.data[..., :9, :9] = 1
    pictures = images(1, (64, 70))
    pictures[0][..., 24:33, 26:35] += 30
    found = measure_fields(nn.Sequential(conv), pictures, ["0"], Settings(1, 1, effective=1))[0]
    (field,) = found.empirical.values()
    values = field.mean.values
    axes = zip(np.indices(values.shape), values.shape, strict=True)
    middle = [float((axis * values).sum() / values.sum()) - n // 2 for axis, n in axes]
    assert [3 * m for m in middle] == pytest.approx([-11, -11], abs=2)  # the middle of -15 to -7
    assert field.size() == pytest.approx(9, abs=4)
    assert found.theoretical is not None and found.theoretical.size == (31, 31)
    assert found.effective.side(1.0) == 31


def test_the_width_of_a_support() -> None:
    """A trapezoid of flat 5 and slopes of 10 on either side, in steps of 1: what a box of 15 makes under an occluder of 11."""
    profile = np.minimum(1, np.maximum(0, (13 - abs(np.arange(-20, 21))) / 11))
    trapezoid = np.minimum.outer(profile, profile)  # square level sets: no corner is lost
    for threshold in (0.05, 0.1, 0.2, 0.5):
        assert support_side(trapezoid, 11, 1, threshold) == pytest.approx(15, abs=1.2)
    assert math.isnan(support_side(np.zeros((3, 3)), 11, 3))
    assert support_side(np.eye(1), 11, 3) == 1.0


def test_occluders_hide_what_they_should() -> None:
    picture, patch = images(1, (12, 14))[0], noise(3, 5, seed=2)
    grid = Grid((12, 14), 5, 3)
    assert grid.shape == (3, 4)
    copies = torch.cat(list(occluded_batches(picture, patch, grid.corners)))
    assert len(copies) == 12
    for copy, (row, column) in zip(copies, grid.corners.tolist(), strict=True):
        expected = picture[0].clone()
        expected[:, row : row + 5, column : column + 5] = patch
        assert torch.equal(copy, expected)
    cut = torch.cat(list(occluded_batches(picture, patch, torch.tensor([[-2, -4], [10, -9]]))))
    assert torch.equal(cut[0, :, :3, :1], patch[:, 2:, 4:])
    assert torch.equal(cut[0, :, 3:], picture[0, :, 3:]) and torch.equal(cut[0, :, :, 1:], picture[0, :, :, 1:])
    assert torch.equal(cut[1], picture[0])


def test_noise_has_the_datas_mean_and_deviation() -> None:
    patch = noise(3, 200)
    assert patch.mean().item() == pytest.approx(0, abs=0.01)
    assert patch.std().item() == pytest.approx(1, abs=0.01)
    assert torch.equal(noise(3, 11, seed=4), noise(3, 11, seed=4)) and not torch.equal(noise(3, 11), noise(3, 11, 1))


def test_top_images_are_the_highest_and_dead_units_have_none() -> None:
    conv = nn.Conv2d(3, 2, 1, bias=False)
    conv.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 0]]).view(2, 3, 1, 1)
    pictures = [torch.zeros(1, 3, 6 + n, 8) for n in range(5)]
    for n, high in enumerate((3.0, 9.0, 1.0, 9.0, 5.0)):
        pictures[n][0, 0, n, 7 - n] = high
    model, units = nn.Sequential(conv), [Unit("0", 0), Unit("0", 1)]
    found = top_images(model, pictures, units, 3, {})
    expected = [(1, (1, 6), 9.0), (3, (3, 4), 9.0), (4, (4, 3), 5.0)]
    assert [(p.image, p.place, p.value) for p in found[units[0]]] == expected
    assert [p.pixel for p in found[units[0]]] == [place for _, place, _ in expected]
    assert found[units[1]] == ()
    rows = measure_fields(model, pictures, ["0"], Settings(2, 2, 3, 2, effective=1))
    assert (rows[0].dead, rows[0].sizes().units) == (1, 1)


def test_units_of_a_layer_do_not_hang_on_the_others() -> None:
    model, picture = network(), images(1)[0]
    alone = draw_units(model, picture, ["4"], 3, seed=5)
    assert [u for u in draw_units(model, picture, ["0", "4"], 3, seed=5) if u.layer == "4"] == alone
    assert len(draw_units(model, picture, ["0"], 99)) == 4
