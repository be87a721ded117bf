"""The images of a set that activate a network's units most, and where."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perpixel.analyze.effective import fixed, pixel_of
from perpixel.analyze.fields import Field
from perpixel.analyze.maps import Maps, map_shapes
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.samples import Sample
from perpixel.infer import Predictor


class Unit(NamedTuple):
    """A channel of a layer's map, wherever on the map."""

    layer: str
    channel: int


class Peak(NamedTuple):
    """Where a unit answers most in an image: which image, the place (row, column) on the map, the value there, and the pixel
    over which it lies."""

    image: int
    place: tuple[int, int]
    value: float
    pixel: tuple[int, int]


@dataclass(frozen=True)
class Inputs(Sequence[Tensor]):
    """The images of samples as a predictor's network takes them: `(1, C, h, w)`, read when asked for."""

    predictor: Predictor
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        file = self.samples[index].image
        return self.predictor.preprocessing(self.predictor.preprocessing.read(file), str(file)).to(
            self.predictor.device
        )


def draw_units(model: nn.Module, image: Tensor, layers: Iterable[str], units: int, seed: int = 0) -> list[Unit]:
    """So many channels of each layer at random, all where it has no more.

    A channel's number never hangs on the other layers: asking for more layers leaves the units of the first as they were.
    """
    shapes = map_shapes(model, image)
    found = []
    for layer in layers:
        order = torch.randperm(shapes[layer][0], generator=torch.Generator().manual_seed(seed))
        found += [Unit(layer, channel) for channel in sorted(order[:units].tolist())]
    return found


def top_images(
    model: nn.Module,
    images: Sequence[Tensor],
    units: Sequence[Unit],
    count: int,
    fields: Mapping[str, Field],
    report: Reporter | None = None,
) -> dict[Unit, tuple[Peak, ...]]:
    """For each unit the `count` images in which its highest value is highest, the highest first.

    Equal values: the image that comes first. A unit that gives one value everywhere (a dead one) has no peaks.

    Args:
        model: left as it is; it runs in eval mode.
        images: `(1, C, H, W)` each, normalised, of any sizes.
        units: whose names are layers of the model.
        count: images a unit.
        fields: theoretical fields by layer, which say over which pixel a unit lies; may be empty.
        report: told (done, total) before each image; it may raise to stop.
    """
    report = report or Silent()
    peaks: dict[Unit, list[Peak]] = {unit: [] for unit in units}
    lowest = dict.fromkeys(units, float("inf"))
    for index, found in enumerate(_extremes(model, images, units, report)):
        for unit, (high, low, row, column, *size) in found.items():
            place, (h, w, height, width) = (int(row), int(column)), map(int, size)
            pixel = pixel_of(place, (h, w), (height, width), fields.get(unit.layer))
            peaks[unit].append(Peak(index, place, high, pixel))
            lowest[unit] = min(lowest[unit], low)
    ranked = {unit: sorted(found, key=lambda p: -p.value) for unit, found in peaks.items()}
    return {u: tuple(found[:count]) if found and found[0].value > lowest[u] else () for u, found in ranked.items()}


def _extremes(
    model: nn.Module, images: Sequence[Tensor], units: Sequence[Unit], report: Reporter
) -> Iterator[dict[Unit, list[float]]]:
    """For each image and unit: highest and lowest value, row and column of the highest, sizes of map and image."""
    channels: dict[str, list[int]] = {}
    for unit in units:
        channels.setdefault(unit.layer, []).append(unit.channel)

    def extremes(layer: str, values: Tensor) -> Tensor:
        flat = values[0, channels[layer]].flatten(1).double()
        high, index = flat.max(dim=1)
        size = torch.tensor(values.shape[2:], device=values.device).expand(len(index), 2)
        at = torch.stack([index // values.shape[3], index % values.shape[3]], dim=1)
        return torch.cat([high[:, None], flat.min(dim=1).values[:, None], at, size], dim=1)

    maps = Maps(model, channels, extremes)
    with fixed(model), torch.inference_mode():
        for index in range(len(images)):
            report.step(index, len(images), "looking for the images that activate units most")
            image = images[index]
            yield {
                Unit(layer, channel): [*row, *image.shape[-2:]]
                for layer, rows in maps(image).items()
                for channel, row in zip(channels[layer], rows.tolist(), strict=True)
            }
