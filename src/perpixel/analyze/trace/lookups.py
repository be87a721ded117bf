"""Rules of operators that read or write where an index or a grid says."""

from typing import Any

import numpy as np
import torch

from perpixel.analyze.trace.bounds import Bounds
from perpixel.analyze.trace.boxes import ASSUMED, MOVED, around
from perpixel.analyze.trace.calls import Call, Result
from perpixel.analyze.trace.moves import assumed
from perpixel.analyze.trace.reductions import together


def deformable(call: Call) -> Result:
    """Learned offsets lead anywhere on the map."""
    items = [b.everywhere(()) for name in ("input", "weight", "bias") if (b := call.boxes(name)) is not None]
    items += [b.hull([1], keep=True) for name in ("offset", "mask") if (b := call.boxes(name)) is not None]
    return around(items, call.shape).noted(call.note(MOVED, "deformable convolution"))


def sampled(call: Call) -> Result:
    """Each output reads the place of the input that the grid `(B, ..., 2)` says, which may be anywhere."""
    boxes, grid = call.boxes("input"), call.boxes("grid")
    items = [] if boxes is None else [boxes.everywhere(())]
    if grid is not None:
        last = grid.rank - 1
        items.append(grid.hull([last], keep=True).permute([0, last, *range(1, last)]))
    return around(items, call.shape).noted(call.note(ASSUMED if grid is None else MOVED))


def gather(call: Call) -> Result:
    """Each output reads somewhere along one dimension; where other dimensions are cut, from their start."""
    dim, index = call["dim"] % len(call.shape), call.boxes("index")
    items = [] if index is None else [index]
    if (boxes := call.boxes("self")) is not None:
        boxes = together(call, boxes, [dim])
        for other, length in enumerate(call.shape):
            boxes = boxes if other == dim else boxes.pick(other, range(length))
        items.append(boxes)
    return around(items, call.shape).noted(call.note(ASSUMED if index is None else MOVED))


def scatter(call: Call) -> Result:
    """Anything may be put anywhere along one dimension."""
    dim, shape = call["dim"] % len(call.shape), call.shape
    items = [b for b in [call.boxes("self")] if b is not None]
    for name in ("index", "src", "value"):
        if (boxes := call.boxes(name)) is not None:
            fits = all(n == shape[d] for d, n in enumerate(boxes.shape) if d != dim)
            boxes = boxes if fits else boxes.everywhere([1] * len(shape))
            items.append(together(call, boxes, [dim]))
    return around(items, shape)


def embedded(call: Call) -> Result:
    """Each place of the output reads the index that stands there."""
    boxes = call.boxes("indices")
    return assumed(call) if boxes is None else around([boxes.reshape((*boxes.shape, 1))], call.shape)


def indexed(call: Call) -> Result:
    """`x[..., indices, ...]`: exact where the indices are known, else anything."""
    boxes = call.boxes("self")
    given = {dim: index for dim, index in enumerate(call["indices"]) if index is not None}
    known = {dim: call.constant(index) for dim, index in given.items()}
    if boxes is None or any(value is None or value.dtype == torch.bool for value in known.values()):
        return assumed(call)
    places = [value.cpu().numpy() % boxes.shape[dim] for dim, value in known.items() if value is not None]
    shape = np.broadcast_shapes(*(place.shape for place in places))
    for dim in known:
        boxes = boxes.merged(dim)
    front = boxes.permute([*known, *(dim for dim in range(boxes.rank) if dim not in known)])
    new = len(shape)

    def read(bounds: Bounds) -> Bounds:
        picks = [p if bounds.shape[1 + i] > 1 else np.zeros_like(p, shape=[1] * new) for i, p in enumerate(places)]
        where: Any = (slice(None), *(p.reshape(*[1] * (new - p.ndim), *p.shape) for p in picks))
        return bounds[where]

    found = front.each(read, (*((length,) for length in shape), *front.groups[len(known) :]))
    side_by_side = max(known) - min(known) + 1 == len(known)
    before = range(new, new + min(known)) if side_by_side else range(0)
    return found.permute([*before, *range(new), *range(new + len(before), found.rank)])


def selected(call: Call) -> Result:
    """`torch.index_select`."""
    boxes, places = call.boxes("self"), call.constant(call["index"])
    if boxes is None or places is None:
        return assumed(call)
    return boxes.pick(call["dim"] % boxes.rank, places.flatten().tolist())
