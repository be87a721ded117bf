"""Theoretical receptive fields: which pixels a unit of a network's maps can depend on, exactly, for any network.

The network's operators are followed as it runs (analyze/trace), on an image so large that units lie inside it with all
that they see. Nothing is computed, so that this takes a second for the largest network.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from perpixel.analyze.footprint import Tries, middle
from perpixel.analyze.lines import Line, line
from perpixel.analyze.trace import Boxes, trace
from perpixel.analyze.trace.boxes import ASSUMED, MOVED, SIZED, WHOLE, Note
from perpixel.core import Size
from perpixel.core.words import some_names

IMAGES: tuple[Size, ...] = ((4096, 6144), (8192, 12288), (16384, 24576))
"""On which fields are looked for, each only if the one before did not tell. Longer than high: what grows with the image
is then longer than high, too."""
GROWN = 1.25
"""A field that is so many times larger on an image of half as many pixels more, or of twice as many, grows with it."""
TRIED: Size = (256, 256)
"""On which fields are tried that tracing does not find."""


@dataclass(frozen=True)
class Field:
    """The receptive field of the units of one map. Pairs are (rows, columns), in pixels of the image.

    size: the sides of the box around all pixels that a unit inside the image can depend on; `math.inf` where it is the
        whole image, however large. Units differ where a resize or an unpooling stands before them: the largest.
    stride: from one unit to the next. Below 1 where units lie closer than pixels; `math.nan` for a single unit.
    offset: the pixel at the centre of the field of unit (0, 0), were there no border: 0 where all padding is half a
        kernel. The mean, where units differ; `math.nan` where the size is infinite.
    note: why a field is infinite, and what could not be analysed; else empty.

    Where a resize lays corners on corners (`align_corners=True`) strides are not quite regular; they and the offset are
    then those of the middle, to the nearest simple number.
    """

    size: tuple[float, float]
    stride: tuple[float, float]
    offset: tuple[float, float]
    note: str = ""


@dataclass(frozen=True)
class Look:
    """What one traced image told of a map: rows and columns, the map's size, and what happened on the way."""

    lines: tuple[Line, Line]
    shape: tuple[int, ...]
    notes: frozenset[Note]
    size: Size


def receptive_fields(
    model: nn.Module, in_channels: int = 3, size: Size | None = None, in_eval: bool = True
) -> dict[str, Field]:
    """The field of every map that a part of the network returns.

    Args:
        model: any module that takes `(B, in_channels, H, W)`, on any device; it is left as it is.
        size: (H, W) of the image, for a network that takes no other; then a field that is cut off by its border counts as
            infinite. None tries 4096 x 6144 pixels, and more where these do not tell.
        in_eval: False leaves the model's parts in the modes in which they are. In training, batch norms make every unit
            depend on the whole batch; the fields are infinite then, and their notes say so.

    Returns:
        Fields by the names of `model.named_modules()`, in the order in which they ran. Of a module that ran several times
        the largest. What stands in a tuple, list or dict is "name[key]"; what the network itself returns has its key
        alone ("logits"), or the name "" if it is a tensor. Modules that did not run, or whose `forward` was not called
        through them, are not there.

    An operator that perpixel does not know is taken to read everything. Where that decides the field, it is found by
    trying instead (`footprint`: the unit in the middle of an image of `size`, or of 256 x 256); the note says so and names
    the operator.

    Raises:
        UserError: the network cannot run on such an image.

    >>> vgg_start = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2))
    >>> receptive_fields(vgg_start)["2"]
    Field(size=(6, 6), stride=(2.0, 2.0), offset=(0.5, 0.5), note='')
    """
    looks: dict[str, list[Look]] = {}
    found: dict[str, Field] = {}
    sizes = IMAGES if size is None else (size,)
    for number, one in enumerate(sizes):
        traced = trace(model, one, in_channels, in_eval)
        for name, calls in traced.outputs.items():
            looks.setdefault(name, []).append(max((look(boxes, one) for boxes in calls), key=area))
        last = number == len(sizes) - 1
        found = {name: field for name, seen in looks.items() if (field := decided(seen, last)) is not None}
        if len(found) == len(looks):
            break
    remark = "decisions followed as one random image made them" if traced.by_values else ""
    unsure = [name for name, seen in looks.items() if ASSUMED in {n.kind for n in seen[-1].notes}]
    if unsure and not any(t.is_meta for t in model.parameters()):
        tries = Tries(model, size or TRIED, in_channels, in_eval)
        found |= tried(tries, {name: found[name] for name in unsure})
    return {name: noted(found[name], remark) for name in looks}


def tried(tries: Tries, fields: Mapping[str, Field]) -> dict[str, Field]:
    """The fields as trying finds them, those of maps alone."""
    clean = tries.run(None)
    maps = {name: clean[name] for name in fields if clean[name].dim() == 4}
    tries.units |= {name: middle(m) for name, m in maps.items() if not m.any()}
    return {name: one_tried(tries, name, fields[name]) for name in tries.units}


def one_tried(tries: Tries, name: str, field: Field) -> Field:
    box, size = tries.box(name), tries.size
    if box is None:
        return replace(field, size=(0, 0), note=f"found by trying; {field.note}")
    whole = [a == 0 or b == n - 1 for a, b, n in ((box.top, box.bottom, size[0]), (box.left, box.right, size[1]))]
    sides = (box.bottom - box.top + 1, box.right - box.left + 1)
    extents = [math.inf if all_seen else side for all_seen, side in zip(whole, sides, strict=True)]
    centres = ((box.top + box.bottom) / 2, (box.left + box.right) / 2)
    offset = [
        math.nan if all_seen else centre - stride * unit
        for all_seen, centre, stride, unit in zip(whole, centres, field.stride, tries.units[name], strict=True)
    ]
    remark = f"found by trying, on {size[0]} x {size[1]} pixels; {field.note}"
    return Field((extents[0], extents[1]), field.stride, (offset[0], offset[1]), remark)


def area(look: Look) -> float:
    return look.lines[0].size * look.lines[1].size


def noted(field: Field, remark: str) -> Field:
    return replace(field, note="; ".join(part for part in (field.note, remark) if part))


def look(boxes: Boxes | None, size: Size) -> Look:
    """What the boxes of a map's units tell."""
    if boxes is None:
        nothing = Line(0, math.nan, math.nan, True)
        return Look((nothing, nothing), (), frozenset(), size)
    boxes = unmixed(boxes)
    return Look((line(boxes.rows, size[0]), line(boxes.columns, size[1])), boxes.shape, boxes.notes, size)


def unmixed(boxes: Boxes) -> Boxes:
    """With one factor for a dimension that is of rows alone, or of columns alone: behind an unpooling it has two. Tokens,
    which are of both, keep theirs."""
    for dim in range(boxes.rank):
        hangs = [any(bounds.shape[axis] > 1 for axis in boxes.axes(dim)) for bounds in (boxes.rows, boxes.columns)]
        if hangs.count(True) == 1:
            boxes = boxes.merged(dim)
    return boxes


def decided(seen: Sequence[Look], last: bool) -> Field | None:
    """The field that images, each twice as large as the one before, tell of; None if a larger one is needed."""
    rows, columns = one_axis(seen, 0, last), one_axis(seen, 1, last)
    if rows is None or columns is None:
        return None
    size, stride, offset = zip(rows[:3], columns[:3], strict=True)
    return Field(size, stride, offset, note(seen[-1], (rows, columns)))


def one_axis(seen: Sequence[Look], axis: int, last: bool) -> Line | None:
    """As `decided`, for rows (0) or columns (1)."""
    now, other = seen[-1].lines[axis], seen[-1].lines[1 - axis]
    kinds = {n.kind for n in seen[-1].notes}
    endless = Line(math.inf, map_stride(seen[-1], axis), math.nan, False)
    told = last or len(seen) > 1
    if not now.fits:
        sure = kinds & {MOVED, ASSUMED} or (WHOLE[axis] in kinds and not other.fits)
        return endless if sure or last or (told and kinds & {WHOLE[axis], SIZED}) else None
    if SIZED not in kinds or (last and len(seen) == 1) or alike(now, other):
        return now
    if not told:
        return None
    return now if alike(now, seen[-2].lines[axis]) else endless


def alike(a: Line, b: Line) -> bool:
    """Whether two images, or two sides of one image, show the same field."""
    return a.fits and b.fits and max(a.size, b.size) <= GROWN * min(a.size, b.size)


def map_stride(look: Look, axis: int) -> float:
    """Pixels for each unit, from the sizes of image and map; infinite for a map that is no larger for a larger image."""
    if len(look.shape) != 4:
        return math.nan
    (height, width), (rows, columns) = look.size, look.shape[2:]
    if look.shape[axis + 2] == 1:
        return math.nan
    if height != width and rows == columns:
        return math.inf
    ratio = look.size[axis] / look.shape[axis + 2]
    grown = (width - height) / (columns - rows) if columns != rows else ratio
    return grown if abs(grown - ratio) < 0.25 * ratio else ratio


WORDS: Mapping[str, str] = {MOVED: "unbounded", ASSUMED: "taken to read everything", SIZED: "grows with the image"}


def note(look: Look, lines: tuple[Line, Line]) -> str:
    """What a field's note says: assumptions always, and why it is infinite."""
    kinds = [ASSUMED]
    if math.inf in (lines[0].size, lines[1].size):
        whole = [kind for kind, one in zip(WHOLE, lines, strict=True) if one.size == math.inf]
        kinds += [MOVED, *whole]
        if not any(n.kind in kinds for n in look.notes):
            kinds.append(SIZED)
    said: dict[str, set[str]] = {}
    for n in look.notes:
        if n.kind in kinds:
            said.setdefault(WORDS.get(n.kind, "global"), set()).add(f"{n.what} ({n.where})" if n.where else n.what)
    if not said and len(kinds) > 1:
        return f"more than an image of {look.size[0]} x {look.size[1]}"
    return "; ".join(f"{word}: {some_names(sorted(what), 3)}" for word, what in sorted(said.items()))
