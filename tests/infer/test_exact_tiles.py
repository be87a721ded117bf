"""Tiles cut by a network's halo equal the whole image's answer, with no more around them than they need; and less shows."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from perpixel import MODELS
from perpixel.analyze import Halo, halo
from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.infer import Predictor
from perpixel.infer.exact import exact_spans, window
from perpixel.infer.layout import Layout, layout
from perpixel.labels import Taxonomy


@given(st.integers(1, 900), st.integers(1, 200), st.integers(0, 50), st.integers(0, 50), st.sampled_from([1, 2, 8, 32]))
def test_spans_by_their_definition(length: int, more: int, before: int, behind: int, grid: int) -> None:
    side = before + behind + 2 * grid + more
    spans = list(exact_spans(length, side, (before, behind), grid))
    assert [s.first for s in spans] == [0, *(s.last for s in spans[:-1])]
    assert spans[-1].last == length
    for s in spans:
        assert s.first < s.last
        assert 0 <= s.start <= max(0, s.first - before)
        assert s.stop == length or (s.stop >= s.last + behind and (s.stop - s.start) % grid == 0)
        assert s.start % grid == 0
        assert s.stop - s.start <= side
        assert s == window(s.first, s.last, length, (before, behind), grid)


def test_spans_too_small() -> None:
    with pytest.raises(UserError, match="smaller than what the network sees"):
        list(exact_spans(500, 64, (30, 34), 8))


def put_together(model: nn.Module, image: Tensor, cut: Layout) -> Tensor:
    """The logits, by a slow loop that knows nothing of the predictor."""
    whole = torch.full_like(model(image)["logits"], torch.nan)
    for rows, columns in cut.tiles:
        part = model(image[..., rows.start : rows.stop, columns.start : columns.stop])["logits"]
        part = part[..., rows.first - rows.start :, columns.first - columns.start :]
        height, width = rows.last - rows.first, columns.last - columns.first
        whole[..., rows.first : rows.last, columns.first : columns.last] = part[..., :height, :width]
    return whole


@cache
def network(name: str) -> tuple[nn.Module, Halo | None]:
    torch.manual_seed(0)
    options: dict[str, Any] = {"unet": {"width": 2}, "segnet_basic": {"width": 4}, "drn_d_22": {"width": 0.0625}}
    model = MODELS[name](num_classes=3, in_channels=1, **options.get(name, {})).eval().double()
    return model, halo(model, in_channels=1)


@torch.no_grad()
@pytest.mark.parametrize("name", ["unet", "segnet_basic", "drn_d_22"])
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_any_size(name: str, data: st.DataObject) -> None:
    model, found = network(name)
    assert found is not None
    need = max(found.margins[0] + found.margins[1], found.margins[2] + found.margins[3]) + 2 * max(found.grid)
    side = need + data.draw(st.integers(1, 120))
    short, long = data.draw(st.integers(1, 70)), data.draw(st.integers(side + 1, side + 260))
    size = data.draw(st.sampled_from([(short, long), (long, short)]))
    cut = layout(found, size, side)
    if len(cut.tiles) == 1:  # few pixels go whole
        cut = replace(cut, tiles=layout(found, (side + 1, side), side).tiles[:0])
        rows, columns = (
            list(exact_spans(n, side, m, g))
            for n, m, g in zip(size, (found.margins[:2], found.margins[2:]), found.grid, strict=True)
        )
        cut = replace(cut, tiles=tuple((r, c) for r in rows for c in columns))
    assert cut.exact
    assert len(cut.tiles) > 1
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    torch.testing.assert_close(put_together(model, image, cut), model(image)["logits"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_the_predictor_at_a_working_size_and_mirrored(flip: bool, scale: float) -> None:
    model, _ = network("segnet_basic")
    steps = Preprocessing(1, (0.5,), (0.25,), None, scale)
    predictor = Predictor(model.float(), steps, Taxonomy.of("abc"), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (310, 837, 1), dtype=np.uint8)
    whole = predictor.predict(image, flip, tile=4096, probabilities=True)
    tiled = predictor.predict(image, flip, tile=272, probabilities=True)
    model.double()
    assert (whole.tiles, tiled.tiles) == ("", "tiles equal the whole")
    assert tiled.summary()["tiles"] == "tiles equal the whole"
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_array_equal(tiled.labels, whole.labels)


def test_a_margin_less_shows() -> None:
    """Or the tests above would prove nothing."""
    model, found = network("segnet_basic")
    assert found is not None
    image = torch.rand(1, 1, 300, 530, dtype=torch.float64)
    less = replace(found, margins=(16, 16, 16, 16))
    with torch.no_grad():
        assert (put_together(model, image, layout(less, (300, 530), 300)) - model(image)["logits"]).abs().max() > 1e-6


class Passing(nn.Module):
    """Scores are the channels; with `context` the image's mean as well, which no tile knows."""

    def __init__(self, context: float) -> None:
        super().__init__()
        self.context = context

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": image + self.context * image.mean((2, 3), keepdim=True)}


def predictor_of(context: float, scale: float = 1.0) -> Predictor:
    return Predictor(
        Passing(context), Preprocessing(3, (0.5,) * 3, (0.25,) * 3, None, scale), Taxonomy.of("abc"), device="cpu"
    )


@pytest.mark.parametrize("size", [(200, 130), (97, 401), (140, 139)])
@pytest.mark.parametrize("scale", [1.0, 1.6, 0.5])
@pytest.mark.parametrize("flip", [False, True])
def test_blending_leaves_alone_what_tiles_agree_on(size: tuple[int, int], scale: float, flip: bool) -> None:
    """Blended tiles of a network without context give the whole: every pixel once, in its place, with weights that sum to 1."""
    predictor = predictor_of(0.0, scale)
    predictor.__dict__["_halo"] = None  # as if it had context
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    whole = predictor.predict(image, flip, tile=4096, probabilities=True)
    tiled = predictor.predict(image, flip, tile=64, probabilities=True)
    assert tiled.tiles.startswith("blended: ")
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_array_equal(tiled.labels, whole.labels)


def test_no_seam_shows() -> None:
    """Along a slope each tile has another mean; where tiles begin, end and meet, the probabilities of a noisy image change from
    pixel to pixel by at most 1.05 times what they change by elsewhere."""
    noise = np.random.default_rng(0).normal(0, 6, (512, 512, 3))
    noise += 128
    noise[..., 0] += np.linspace(-60, 60, 512)
    tiled = predictor_of(0.5).predict(noise.clip(0, 255).astype(np.uint8), tile=128, probabilities=True)
    assert "blended: 49 tiles (the network sees the whole image" in tiled.tiles
    steps = np.abs(np.diff(tiled.probabilities[0].astype(np.float64), axis=1)).mean(0)
    seams = np.arange(
        63, 480, 32
    )  # tiles begin and end at multiples of 64; halfway in between the later one begins to count more
    around = np.mean([steps[seams + away] for away in (-12, -10, -8, -6, 6, 8, 10, 12)])
    assert steps[seams].mean() <= 1.05 * around


@pytest.mark.parametrize(
    ("found", "size", "tile", "why"),
    [
        (None, (90, 90), 64, "cannot be followed"),
        (Halo((9,) * 4, (8, 8), any_size=False), (90, 90), 64, "no multiples of 8 x 8"),
        (Halo((900,) * 4, (8, 8), any_size=True), (900, 900), 512, "sees 1800 pixels"),
    ],
)
def test_why_tiles_are_blended(found: Halo | None, size: tuple[int, int], tile: int, why: str) -> None:
    cut = layout(found, size, tile)
    assert not cut.exact
    assert why in cut.said


def test_a_tile_grows_with_the_halo() -> None:
    wide = Halo((600,) * 4, (8, 8), any_size=True)
    cut = layout(wide, (6000, 6000))
    assert cut.exact
    assert max(r.stop - r.start for r, _ in cut.tiles) == 2400
    assert cut.said == "tiles equal the whole"
