"""The fields of a network's layers on a user's own images: theoretical, effective and empirical side by side."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from perpixel.analyze.effective import EffectiveField, effective_field
from perpixel.analyze.fields import Field, receptive_fields
from perpixel.analyze.maps import LOGITS, check_layers, main_layers, map_shapes
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core import Size
from perpixel.core.errors import UserError, nearest
from perpixel.core.reporter import Reporter, Silent, clock
from perpixel.explain.discrepancy import Place, discrepancies
from perpixel.explain.empirical import IMAGES, SIDE, STEP, THRESHOLD, UNITS, EmpiricalField, Spread, spread
from perpixel.explain.journal import Journal, pack, unpack
from perpixel.explain.occluded import Grid, noise
from perpixel.explain.plan import Peaks, Plan, measure_pace, plan, plan_within
from perpixel.explain.search import Unit, draw_units, top_images


@dataclass(frozen=True)
class Settings:
    """How empirical fields are measured; the sides and steps are those of Zhou et al., and 10 of its 10 to 25 images.

    units: drawn at random from each layer; images: the ones that activate a unit most; side, step: of the occluders, in
    pixels of the network's input; seed: of units and noise; effective: images over which gradients are averaged.
    """

    units: int = UNITS
    images: int = IMAGES
    side: int = SIDE
    step: int = STEP
    seed: int = 0
    effective: int = 20


@dataclass(frozen=True)
class LayerFields:
    """One row of the table.

    theoretical: None where it is not known. effective: of all channels of the layer's middle unit.
    empirical: of each unit that was measured. dead: units that gave one value on all images, of which nothing is known.
    """

    layer: str
    theoretical: Field | None
    effective: EffectiveField
    empirical: Mapping[Unit, EmpiricalField]
    dead: int

    def sizes(self, threshold: float = THRESHOLD) -> Spread:
        """Mean and deviation over the units."""
        return spread(found.size(threshold) for found in self.empirical.values())


@dataclass
class Work:
    """A network, the images that it is asked about, and what is already done."""

    model: nn.Module
    images: Sequence[Tensor]
    settings: Settings
    fields: Mapping[str, Field]
    report: Reporter = field(default_factory=Silent)
    journal: Journal | None = None

    def grid(self, image: Tensor) -> Grid:
        return Grid((image.shape[-2], image.shape[-1]), self.settings.side, self.settings.step)


def measure_fields(
    model: nn.Module,
    images: Sequence[Tensor],
    layers: Sequence[str] | None = None,
    settings: Settings = Settings(),
    minutes: float | None = None,
    out: Path | None = None,
    about: Mapping[str, Any] | None = None,
    report: Reporter | None = None,
) -> list[LayerFields]:
    """The fields of some layers of a network: in theory, by gradients, and by hiding patches (Zhou et al.).

    Args:
        model: any network; it is left as it is.
        images: `(1, C, H, W)` each, normalised; sizes are those at which the network works.
        layers: names of `model.named_modules()`, or "logits"; None for the network's stages.
        settings: see `Settings`.
        minutes: as many units and images are taken as fit; None takes them all.
        out: a file of JSON lines in which every finished image is kept; the same call goes on from there.
        about: what model and images are, so that `out` is never taken for that of others.
        report: told what it costs before the passes begin, then (done, total); it may raise to stop.

    Raises:
        UserError: no such layer, no image, too few minutes, or an `out` of other work.
    """
    start, report = time.monotonic(), report or Silent()
    if not len(images):
        raise UserError("fields are measured on images; there is none")
    layers = chosen_layers(model, images[0], layers)
    theory = theoretical(model, images[0].shape[1], layers)
    whole_work = {"side": settings.side, "step": settings.step, "seed": settings.seed, **(about or {})}
    journal = Journal(out, whole_work) if out else None
    work = Work(model, images, settings, theory, report, journal)
    units = draw_units(model, images[0], layers, settings.units, settings.seed)
    peaks = top_images(model, images, units, settings.images, theory, report)
    effective = {layer: _effective(work, layer) for layer in layers}
    found = empirical_fields(work, peaks, None if minutes is None else start + 60 * minutes)
    dead = [unit.layer for unit, seen in peaks.items() if not seen]
    return [
        LayerFields(
            layer,
            theory.get(layer),
            effective[layer],
            {u: f for u, f in found.items() if u.layer == layer},
            dead.count(layer),
        )
        for layer in layers
    ]


def chosen_layers(model: nn.Module, image: Tensor, layers: Sequence[str] | None) -> tuple[str, ...]:
    """The layers that are asked for, or the network's stages.

    Raises:
        UserError: one that the network does not have, or that gives no map of this image.
    """
    if layers is None:
        return main_layers(model, image)
    names, shapes = check_layers(model, layers), map_shapes(model, image)
    for name in names:
        if name not in shapes:
            hint = nearest(name, shapes) or f" Layers with maps: {', '.join(main_layers(model, image))}."
            raise UserError(f'layer "{name}" gives no map of (channels, rows, columns).{hint}')
    return names


def theoretical(model: nn.Module, in_channels: int, layers: Sequence[str]) -> dict[str, Field]:
    """The theoretical fields of layers, without those that are not known."""
    try:
        known = receptive_fields(model, in_channels)
    except UserError:
        return {}
    found = {layer: known.get(layer) or known.get(f"{layer}[0]") or known.get("") for layer in layers}
    return {layer: one for layer, one in found.items() if one is not None}


def logits_side(model: nn.Module, in_channels: int) -> float | None:
    """Side of a square as large as the theoretical field of the logits, in pixels of the network's input.

    None where the field is the whole image, is not known, or is empty.
    """
    field = theoretical(model, in_channels, [LOGITS]).get(LOGITS)
    side = math.sqrt(math.prod(field.size)) if field else 0.0
    return side if side and math.isfinite(side) else None


def field_side(model: nn.Module, preprocessing: Preprocessing, size: Size) -> float | None:
    """`logits_side` in pixels of a user's image of this size.

    The network sees that image at its working size, so that a field of so many of its own pixels is smaller or larger on
    the image.
    """
    side = logits_side(model, preprocessing.channels)
    factor = (preprocessing.short_side or min(size)) * preprocessing.scale / min(size)
    return None if side is None else side / factor


def _effective(work: Work, layer: str) -> EffectiveField:
    count = min(work.settings.effective, len(work.images))
    chosen = [n * len(work.images) // count for n in range(count)]
    work.report.step(0, 1, f"gradients of {layer}")
    return effective_field(
        work.model, (work.images[n] for n in chosen), layer, field=work.fields.get(layer), seed=work.settings.seed
    )


def empirical_fields(work: Work, peaks: Peaks, deadline: float | None = None) -> dict[Unit, EmpiricalField]:
    """The empirical fields of units: says what it costs, passes what is not done yet, and adds up the maps.

    Args:
        work: the network and its images.
        peaks: as `top_images` gives them.
        deadline: of `time.monotonic()`, None for none.
    """
    settings = work.settings
    seen = sorted({peak.image for found in peaks.values() for peak in found})
    grids = {n: work.grid(work.images[n]) for n in seen}
    done = pieces(work.journal)
    if not seen:
        return {}
    pace = measure_pace(work.model, work.images[seen[0]], {unit.layer for unit in peaks})
    if deadline is None:
        chosen = plan(peaks, settings.units, settings.images, grids, work.fields, done)
    else:
        left = deadline - time.monotonic()
        chosen = plan_within(left, pace, peaks, settings.units, settings.images, grids, work.fields, done)
    work.report.line(chosen.words(pace))
    _pass_all(work, chosen, grids, done, deadline)
    return added_up(chosen, peaks, grids, done)


Done = dict[tuple[int, Place], Any]
"""(image, place) -> the map of changes."""


def pieces(journal: Journal | None) -> Done:
    """What a journal holds."""
    found: Done = {}
    for piece in journal.pieces if journal else []:
        for (layer, channel, row, column), values in zip(piece["places"], piece["maps"], strict=True):
            found[piece["image"], Place(Unit(layer, channel), (row, column))] = unpack(values, tuple(piece["shape"]))
    return found


def _pass_all(work: Work, chosen: Plan, grids: Mapping[int, Grid], done: Done, deadline: float | None) -> None:
    """Fills `done`, image by image; after the deadline no further image is begun."""
    begun, total, passed = time.monotonic(), chosen.passes, 0
    for image, places in chosen.places.items():
        todo = [place for place in places if (image, place) not in done]
        if not todo:
            continue
        if deadline is not None and time.monotonic() > deadline:
            work.report.line(
                f"the time is up: {passed:,} of {total:,} passes done; the same command goes on with --out"
            )
            return
        tensor, grid = work.images[image], grids[image]
        patch = noise(tensor.shape[1], grid.side, work.settings.seed)
        counted = Counted(work.report, passed, total, begun)
        maps = discrepancies(work.model, tensor, todo, grid, patch, work.fields, counted)
        done.update({(image, place): values for place, values in maps.items()})
        passed += counted.last
        if work.journal:
            rows = [[*place.unit, *place.at] for place in maps]
            packed = [pack(values) for values in maps.values()]
            work.journal.add({"image": image, "shape": grid.shape, "places": rows, "maps": packed})


class Counted(Silent):
    """Adds one image's passes to those before, and says how long the rest takes."""

    def __init__(self, report: Reporter, before: int, total: int, begun: float) -> None:
        self.report, self.before, self.total, self.begun, self.last = report, before, total, begun, 0

    def step(self, done: int, total: int, text: str = "") -> None:
        self.last, now = total, self.before + done
        spent = time.monotonic() - self.begun
        left = f"about {clock(spent / now * (self.total - now))} left" if now else ""
        self.report.step(now, self.total, left)


def added_up(chosen: Plan, peaks: Peaks, grids: Mapping[int, Grid], done: Done) -> dict[Unit, EmpiricalField]:
    """The means of the maps that are done, each laid with its unit in the middle."""
    pixels = {(peak.image, unit): peak.pixel for unit, found in peaks.items() for peak in found}
    found: dict[Unit, EmpiricalField] = {}
    for image, places in chosen.places.items():
        grid = grids[image]
        for place in places:
            if (image, place) in done:
                one = found.setdefault(place.unit, EmpiricalField(grid.side, grid.step))
                one.add(done[image, place], grid.nearest(pixels[image, place.unit]))
    return found
