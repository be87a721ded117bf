"""What a unit reacts to, by trying: for what tracing cannot analyse.

Pixels become NaN ("not a number"), row by row. Whatever a NaN goes into becomes NaN, through weights of any sign, through
ReLUs that are off and maxima that are not the largest; so nothing cancels, and one image tells all.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from perpixel.analyze.dry_run import eval_mode, named_tensors, watched
from perpixel.core import Size
from perpixel.core.errors import UserError, nearest


class Footprint(NamedTuple):
    """The box around the pixels that a unit reacts to, both ends included."""

    top: int
    bottom: int
    left: int
    right: int


def footprint(
    model: nn.Module,
    name: str = "logits",
    unit: tuple[int, int] | None = None,
    size: Size = (256, 256),
    in_channels: int = 3,
    in_eval: bool = True,
) -> Footprint | None:
    """The box around the pixels that one unit reacts to, in about 4 log2(side) passes of the network in float64.

    Args:
        model: on any device; it is left as it is.
        name: of a map, as in `receptive_fields`.
        unit: (row, column) on that map; None for the one in the middle.

    Returns:
        None where no pixel reaches the unit. Beside an exact field it is too small where NaN is dropped (places found by
        comparing, such as an argmax), and too large where a weight is zero (a resize that falls onto a pixel).

    Raises:
        UserError: there is no such map or unit, or its values are not finite to begin with.

    >>> footprint(nn.Sequential(nn.Conv2d(3, 1, 5, padding=2)), "0", unit=(0, 100))
    Footprint(top=0, bottom=2, left=98, right=102)
    """
    tries = Tries(model, size, in_channels, in_eval)
    clean = tries.run(None)
    if name not in clean:
        raise UserError(f'The network has no map "{name}".{nearest(name, clean)}')
    unit = middle(clean[name]) if unit is None else unit
    rows, columns = clean[name].shape[-2:] if clean[name].dim() == 4 else (0, 0)
    if not (0 <= unit[0] < rows and 0 <= unit[1] < columns):
        raise UserError(f"unit must lie on the map of {rows} x {columns}; got ({unit[0]}, {unit[1]})")
    if clean[name][0, :, unit[0], unit[1]].any():
        raise UserError(f"{name} is NaN without any help; nothing can be found by laying NaN into the image")
    tries.units[name] = unit
    return tries.box(name)


def middle(map: Tensor) -> tuple[int, int]:
    """(row, column) of the unit in the middle of a map."""
    return map.shape[-2] // 2, map.shape[-1] // 2


class Tries:
    """A network at work on one random image, parts of which become NaN. `units` are those to look at, by map."""

    def __init__(self, model: nn.Module, size: Size, in_channels: int, in_eval: bool) -> None:
        self.model, self.size, self.in_eval = model, size, in_eval
        self.weights = {
            name: t.detach().double() if t.is_floating_point() else t
            for name, t in [*model.named_parameters(), *model.named_buffers()]
        }
        noise = torch.randn(1, in_channels, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.image = noise.to(next((t.device for t in self.weights.values()), noise.device))
        self.units: dict[str, tuple[int, int]] = {}
        self.reached: dict[tuple[int, int, int], set[str]] = {}

    def run(self, cut: tuple[int, int, int] | None) -> dict[str, Tensor]:
        """Where the last output of each module is NaN, if (dimension, start, stop) of the image is."""
        image, found = self.image.clone(), dict[str, Tensor]()
        if cut is not None:
            image.narrow(cut[0], cut[1], cut[2] - cut[1]).fill_(torch.nan)

        def leave(name: str, output: Any) -> None:
            found.update({key: t.detach().isnan() for key, t in named_tensors(name, output)})

        with torch.no_grad(), eval_mode(self.model, self.in_eval), watched(self.model, lambda *_: None, leave):
            functional_call(self.model, self.weights, (image,))
        return found

    def reacts(self, name: str, *cut: int) -> bool:
        """Whether the unit of that map becomes NaN; each cut is tried once, for all units."""
        dim, start, stop = cut
        if (dim, start, stop) not in self.reached:
            maps = self.run((dim, start, stop))
            self.reached[dim, start, stop] = {n for n, (y, x) in self.units.items() if maps[n][0, :, y, x].any()}
        return name in self.reached[dim, start, stop]

    def box(self, name: str) -> Footprint | None:
        sides: list[int] = []
        for dim, length in ((2, self.size[0]), (3, self.size[1])):
            if not self.reacts(name, dim, 0, length):
                return None
            sides += self.ends(name, dim, length)
        return Footprint(*sides)

    def ends(self, name: str, dim: int, length: int) -> list[int]:
        """The first and the last row or column that the unit reacts to."""
        reaching = first(lambda n: self.reacts(name, dim, 0, n), length)
        from_behind = first(lambda n: self.reacts(name, dim, length - n, length), length)
        return [reaching - 1, length - from_behind]


def first(holds: Callable[[int], bool], length: int) -> int:
    """The least number from 1 to `length` for which something holds, which holds for all larger ones.

    >>> first(lambda n: n >= 5, 9)
    5
    """
    below, holding = 0, length
    while holding - below > 1:
        middle = (below + holding) // 2
        below, holding = (below, middle) if holds(middle) else (middle, holding)
    return holding
