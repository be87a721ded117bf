"""What is done for empirical fields: which units on which images, what that costs, and how much of it fits into a time."""

import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perpixel.analyze.effective import fixed
from perpixel.analyze.fields import Field
from perpixel.analyze.maps import Maps
from perpixel.core.errors import UserError
from perpixel.core.reporter import clock
from perpixel.explain.discrepancy import Place, cheaper
from perpixel.explain.occluded import Grid, batch_size
from perpixel.explain.search import Peak, Unit

Peaks = Mapping[Unit, tuple[Peak, ...]]


@dataclass(frozen=True)
class Plan:
    """Units and images that are taken, and what they cost.

    places: for each image, by its number, the units that are looked at, where they answer most.
    units, images: at most so many a layer, and images a unit.
    passes, pixels: in all.
    """

    places: Mapping[int, tuple[Place, ...]]
    units: int
    images: int
    passes: int
    pixels: int

    def words(self, pace: float) -> str:
        """What it takes, said before it begins; pace in pixels a second."""
        return (
            f"{self.passes:,} passes, over {len(self.places)} images for {self.units} units a layer and "
            f"{self.images} images a unit: about {clock(self.pixels / pace)}"
        )


def plan(
    peaks: Peaks,
    units: int,
    images: int,
    grids: Mapping[int, Grid],
    fields: Mapping[str, Field],
    done: Container[tuple[int, Place]] = (),
) -> Plan:
    """The first `units` living units of each layer, on the first `images` of each; what is done costs nothing."""
    places: dict[int, list[Place]] = {}
    taken: dict[str, int] = {}
    for unit, found in peaks.items():
        if found and taken.get(unit.layer, 0) < units:
            taken[unit.layer] = taken.get(unit.layer, 0) + 1
            for peak in found[:images]:
                places.setdefault(peak.image, []).append(Place(unit, peak.place))
    todo = {image: [p for p in found if (image, p) not in done] for image, found in places.items()}
    costs = [cheaper(found, fields, grids[image]) for image, found in todo.items() if found]
    ordered = {image: tuple(places[image]) for image in sorted(places)}
    return Plan(ordered, units, images, sum(c.count for c in costs), sum(c.pixels for c in costs))


def plan_within(
    seconds: float,
    pace: float,
    peaks: Peaks,
    units: int,
    images: int,
    grids: Mapping[int, Grid],
    fields: Mapping[str, Field],
    done: Container[tuple[int, Place]] = (),
) -> Plan:
    """The plan with the most units times images that takes no longer, of equal ones that with more units.

    Raises:
        UserError: not even one unit on one image fits.
    """
    least = plan(peaks, 1, 1, grids, fields, done)
    if least.pixels > seconds * pace:
        raise UserError(
            f"one unit a layer on one image takes about {clock(least.pixels / pace)}, more than the time given; "
            "give more --minutes, fewer --layers, or a larger --step"
        )
    pairs = [(u, i) for u in range(1, units + 1) for i in range(1, images + 1)]
    for many, few in sorted(pairs, key=lambda pair: (-pair[0] * pair[1], -pair[0])):
        found = plan(peaks, many, few, grids, fields, done)
        if found.pixels <= seconds * pace:
            return found
    return least


def measure_pace(model: nn.Module, image: Tensor, layers: Iterable[str]) -> float:
    """Pixels a second of batches up to the last of the layers: the second of two, the first of which warms up."""
    batch = image.repeat(batch_size(image), 1, 1, 1).contiguous(memory_format=torch.channels_last)
    maps = Maps(model, layers, lambda _, values: values[:, 0, 0, 0].cpu())
    with fixed(model), torch.inference_mode():
        maps(image)
        for _ in range(2):
            start = time.perf_counter()
            maps(batch)
            seconds = time.perf_counter() - start
    return batch.shape[0] * batch.shape[2] * batch.shape[3] / seconds
