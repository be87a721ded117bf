"""How much units change when parts of an image are hidden: one map of changes for each unit, passes shared.

The cheaper of two ways is taken for each image. Whole: one pass for each occluder, in which all units are read. Parts: where
a unit's theoretical field is finite, it is the same on the part of the image that it sees, and no occluder outside of that
changes it; each unit then has passes of its own, over the occluders and the pixels of its part alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perpixel.analyze.effective import fixed
from perpixel.analyze.fields import Field
from perpixel.analyze.maps import Maps
from perpixel.core import Size
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.explain.occluded import Box, Grid, occluded_batches
from perpixel.explain.search import Unit

PHASE = 64
"""Parts begin at multiples of this, so that strided layers sample them as they sample the whole."""
SLACK = 16
"""Pixels added around a field: behind a resize or an unpooling the centres of units are regular on average alone."""


class Place(NamedTuple):
    """A unit at one place (row, column) of its layer's map."""

    unit: Unit
    at: tuple[int, int]


@dataclass(frozen=True)
class Part:
    """What a place needs of an image: the box of its field, the larger box that is computed, and its place in that."""

    field: Box
    computed: Box
    place: Place


@dataclass(frozen=True)
class Passes:
    """What one image costs: passes, and pixels in all of them; `parts` are empty where the whole image is passed."""

    count: int
    pixels: int
    parts: tuple[Part, ...] = ()


def cheaper(places: Sequence[Place], fields: Mapping[str, Field], grid: Grid) -> Passes:
    """The passes that an image takes, whole or in parts."""
    count = grid.shape[0] * grid.shape[1]
    whole = Passes(count, count * grid.size[0] * grid.size[1])
    parts = [part_of(place, fields.get(place.unit.layer), grid.size) for place in places]
    found = tuple(p for p in parts if p is not None)
    if len(found) < len(parts):
        return whole
    counts = [grid.touched(part.field) for part in found]
    pixels = sum(n * part.computed.pixels for n, part in zip(counts, found, strict=True))
    return Passes(sum(counts), pixels, found) if pixels < whole.pixels else whole


def part_of(place: Place, field: Field | None, size: Size) -> Part | None:
    """The part of an image that a place needs; None where that is not known, or everything."""
    if field is None or not all(math.isfinite(v) for v in (*field.size, *field.stride, *field.offset)):
        return None
    rows = _one_axis(place.at[0], field.size[0], field.stride[0], field.offset[0], size[0])
    columns = _one_axis(place.at[1], field.size[1], field.stride[1], field.offset[1], size[1])
    if rows is None or columns is None:
        return None
    (low, high, start, end, row), (left, right, begin, stop, column) = rows, columns
    return Part(Box(low, left, high, right), Box(start, begin, end, stop), Place(place.unit, (row, column)))


def _one_axis(
    at: int, extent: float, stride: float, offset: float, pixels: int
) -> tuple[int, int, int, int, int] | None:
    """First and last pixel of a field, of what is computed (last ones just outside), and the place there."""
    centre, half = offset + stride * at, (extent - 1) / 2 + SLACK
    low, high = max(0, math.floor(centre - half)), min(pixels, math.ceil(centre + half) + 1)
    start, end = low // PHASE * PHASE, min(pixels, -(-high // PHASE) * PHASE)
    place = at - start / stride
    return (low, high, start, end, int(place)) if place == int(place) and low < high else None


def discrepancies(
    model: nn.Module,
    image: Tensor,
    places: Sequence[Place],
    grid: Grid,
    patch: Tensor,
    fields: Mapping[str, Field],
    report: Reporter | None = None,
) -> dict[Place, Array]:
    """For each place the map (rows, columns of the grid) of absolute changes of its value, float32.

    Args:
        model: left as it is; it runs in eval mode.
        image: `(1, C, H, W)`, normalised; H and W are the grid's size.
        places: units where they are looked at.
        grid: of the occluders.
        patch: `(C, side, side)`, what hides.
        fields: theoretical fields by layer, as `perpixel.analyze.receptive_fields` gives them; an empty one passes whole
            images. A part is computed alone only if the unit's value there is that of the whole image.
        report: told (done, total) passes; it may raise to stop.
    """
    report = report or Silent()
    passes = cheaper(places, fields, grid)
    with fixed(model), torch.inference_mode():
        if passes.parts and _same(model, image, places, passes.parts):
            return _in_parts(model, image, places, passes, grid, patch, report)
        changes = _changes(model, image, places, patch, grid.corners, report, 0, len(grid.corners))
    return {p: changes[:, n].reshape(grid.shape).numpy() for n, p in enumerate(places)}


def _in_parts(
    model: nn.Module,
    image: Tensor,
    places: Sequence[Place],
    passes: Passes,
    grid: Grid,
    patch: Tensor,
    report: Reporter,
) -> dict[Place, Array]:
    found, done = {}, 0
    for place, part in zip(places, passes.parts, strict=True):
        touching = grid.touching(part.field)
        corners = grid.corners[touching] - torch.tensor([part.computed.top, part.computed.left])
        changes = torch.zeros(len(touching))
        changes[touching] = _changes(
            model, cut(image, part.computed), [part.place], patch, corners, report, done, passes.count
        )[:, 0]
        found[place], done = changes.reshape(grid.shape).numpy(), done + len(corners)
    return found


def _changes(
    model: nn.Module,
    image: Tensor,
    places: Sequence[Place],
    patch: Tensor,
    corners: Tensor,
    report: Reporter,
    done: int,
    total: int,
) -> Tensor:
    """(N, places) on the CPU: what each occluder changes."""
    read = Reader(model, places)
    clean, changes = read(image), []
    for batch in occluded_batches(image, patch, corners):
        report.step(done, total)
        changes.append((read(batch) - clean).abs().float())
        done += len(batch)
    return torch.cat(changes).cpu() if changes else torch.zeros(0, len(places))


class Reader:
    """Batch (B, C, H, W) -> (B, places) values of units; a pass ends with the last of their layers."""

    def __init__(self, model: nn.Module, places: Sequence[Place]) -> None:
        self.order = sorted(range(len(places)), key=lambda n: places[n].unit.layer)
        self.index: dict[str, list[tuple[int, int, int]]] = {}
        for n in self.order:
            (layer, channel), at = places[n]
            self.index.setdefault(layer, []).append((channel, *at))
        self.maps = Maps(model, self.index, self.pick)
        self.back = torch.tensor(self.order).argsort()

    def pick(self, layer: str, values: Tensor) -> Tensor:
        channels, rows, columns = zip(*self.index[layer], strict=True)
        return values[:, list(channels), list(rows), list(columns)]

    def __call__(self, batch: Tensor) -> Tensor:
        found = self.maps(batch)
        return torch.cat([found[layer] for layer in self.index], dim=1)[:, self.back]


def _same(model: nn.Module, image: Tensor, places: Sequence[Place], parts: Sequence[Part]) -> bool:
    """Whether each unit has the same value on its part as on the whole image."""
    whole = Reader(model, places)(image)[0]
    alone = torch.stack([Reader(model, [p.place])(cut(image, p.computed))[0, 0] for p in parts])
    return bool(torch.isclose(whole, alone, rtol=1e-3, atol=1e-4 * float(whole.abs().max())).all())


def cut(image: Tensor, box: Box) -> Tensor:
    """A part of `(1, C, H, W)`."""
    part = image[..., box.top : box.bottom, box.left : box.right]
    return part.contiguous(memory_format=torch.channels_last)
