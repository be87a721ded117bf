"""How an image must be cut into tiles, so that a network says of each what it would say of the whole."""

import math
from dataclasses import dataclass, replace

from torch import nn

from perpixel.analyze.fields import IMAGES, Look, decided, look
from perpixel.analyze.lines import inside, repeats, steady, units
from perpixel.analyze.trace import Boxes, Trace, trace
from perpixel.analyze.trace.bounds import Bounds
from perpixel.analyze.trace.boxes import ASSUMED, CORNERS, FACTOR, MOVED
from perpixel.core import Size
from perpixel.core.errors import UserError, nearest


@dataclass(frozen=True)
class Halo:
    """What a tile needs around the pixels that it answers for; its logits there are then those of the whole image.

    margins: pixels above, below, left, right that a logit can see beyond itself. Where a tile ends at the image's border it
        needs none there.
    grid: (rows, columns). A tile starts at multiples of these, and has a multiple of these as its sides, unless it ends
        where the image ends.
    any_size: whether an image of any size may be cut so. If not, as where a map is resized to the image, an image whose
        sides are not multiples of the grid is to be padded to such ones first, and the whole is the padded image's.
    """

    margins: tuple[int, int, int, int]
    grid: Size
    any_size: bool


def halo(model: nn.Module, in_channels: int = 3, name: str = "logits") -> Halo | None:
    """The halo of a network in eval, or None where no tiles can be exact.

    That is where a logit sees the whole image, or what it sees cannot be followed, and where a map is resized so that
    corners fall onto corners (`align_corners=True`), whose factor then is another for every size. A network that adds
    something of its own by place, such as coordinates, is not found out.

    Args:
        model: any module that takes `(B, in_channels, H, W)`; it is left as it is.
        name: of its output, as in `receptive_fields`; a map of the image's size.

    Raises:
        UserError: there is no such output, or it has another size.
    """
    seen: list[Look] = []
    for size in IMAGES:
        traced = trace(model, size, in_channels)
        logits = output(traced, name)
        seen.append(look(logits, size))
        field = decided(seen, last=size == IMAGES[-1])
        if field is None:
            continue
        if math.inf in field.size or traced.by_values or logits.kinds & {ASSUMED, MOVED} or CORNERS in factors(logits):
            return None
        found = one_halo(traced, logits)
        return found and replace(found, any_size=goes_with_any_size(model, name, found, size, in_channels, logits))
    return None


def goes_with_any_size(model: nn.Module, name: str, found: Halo, size: Size, in_channels: int, logits: Boxes) -> bool:
    """Whether an image whose sides are no multiples of the grid has the same halo, and its maps are resized alike."""
    odd = trace(model, (size[0] + 2 * found.grid[0] // 3 + 1, size[1] + 2 * found.grid[1] // 3 + 1), in_channels)
    other = output(odd, name)
    return one_halo(odd, other) == found and factors(other) == factors(logits)


def factors(boxes: Boxes) -> set[str]:
    """By which maps were resized on the way."""
    return {note.what for note in boxes.notes if note.kind == FACTOR}


def output(traced: Trace, name: str) -> Boxes:
    """The boxes of a map of the image's size."""
    if name not in traced.outputs:
        raise UserError(f'The network has no output "{name}".{nearest(name, traced.outputs)}')
    boxes = traced.outputs[name][-1]
    if boxes is None or boxes.shape[2:] != traced.size:
        raise UserError(f"{name} must be a map of the image's size, {traced.size[0]} x {traced.size[1]}")
    return boxes


def one_halo(traced: Trace, logits: Boxes) -> Halo | None:
    """As one image tells; None where a map's units do not lie regularly."""
    pairs = [rows_and_columns(boxes) for calls in traced.outputs.values() for boxes in calls if boxes is not None]
    steps = [
        [step(bounds, traced.size[axis]) for bounds in found] for axis, found in enumerate(zip(*pairs, strict=True))
    ]
    if any(one is None for found in steps for one in found):
        return None
    rows, columns = (math.lcm(*(one for one in found if one)) for found in steps)
    (above, below), (left, right) = map(margins, rows_and_columns(logits), traced.size)
    return Halo((above, below, left, right), (rows, columns), any_size=True)


def rows_and_columns(boxes: Boxes) -> tuple[Bounds, Bounds]:
    return boxes.rows, boxes.columns


def step(bounds: Bounds, pixels: int) -> int | None:
    """By how many pixels an image may be moved so that a map's units come to lie upon each other; None if by none.

    0 where it does not matter: no unit of the map lies inside the image with all that it sees.
    """
    low, high = units(bounds)
    places = inside(low, high, pixels)
    if len(places) < 2:
        return 0
    start, stop = steady(places)
    cycles = {repeats(low[start:stop]), repeats(high[start:stop])}
    shifts = [int(cycle[1]) for cycle in cycles if cycle is not None]
    return math.lcm(*shifts) if None not in cycles and min(shifts) >= 0 else None


def margins(bounds: Bounds, pixels: int) -> tuple[int, int]:
    """How many pixels before and behind itself a unit of a map of the image's size sees at most."""
    low, high = units(bounds)
    places = inside(low, high, pixels)
    return max(0, int((places - low[places]).max())), max(0, int((high[places] - places).max()))
