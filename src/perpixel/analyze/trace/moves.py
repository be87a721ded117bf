"""Rules of operators that move elements and compute nothing: views, cuts, joins, borders."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from perpixel.analyze.trace.boxes import ASSUMED, Boxes, around, joined
from perpixel.analyze.trace.calls import Call, Result, Rule
from perpixel.analyze.trace.windows import padded, per_dimension, reflected, replicated

Places = Sequence[int]


def same_order(call: Call) -> Result:
    """Another shape, or another memory, for the same elements in the same order."""
    (boxes,) = call.read
    if boxes.shape == call.shape:
        return boxes
    return boxes.reshape(call.shape) if call.outputs[0].numel() == np.prod(boxes.shape) else assumed(call)


def assumed(call: Call) -> list[Boxes | None]:
    """What an operator without a rule gives: every element depends on everything that was read."""
    one = around([boxes.everywhere(()) for boxes in call.read], ()).noted(call.note(ASSUMED))
    return [one.everywhere(tuple(output.shape)) for output in call.outputs]


def order(call: Call) -> list[int]:
    """Of a permutation: which of the old dimensions each new one is."""
    rank = len(call.shape)
    dims = list(range(rank))
    if call.name == "permute":
        return [dim % rank for dim in call["dims"]]
    first, second = (call["dim0"] % rank, call["dim1"] % rank) if "dim0" in call.values else (0, rank - 1)
    dims[first], dims[second] = second, first
    return dims


def permuted(call: Call) -> Result:
    return call.read[0].permute(order(call))


def expanded(call: Call) -> Result:
    return around(call.read, call.shape)


def copied(call: Call) -> Result:
    """What was there before is gone."""
    source = call.boxes("src")
    return source and around([source], call.shape)


def cuts(call: Call, shape: Sequence[int]) -> tuple[int, list[Places]]:
    """Which dimension of a tensor of this shape is cut, and the places along it that each output has."""
    dim = call["dim"] % len(shape)
    everything = range(shape[dim])
    if call.name == "slice":
        return dim, [everything[slice(call["start"], call["end"], call["step"])]]
    if call.name == "select":
        return dim, [[call["index"] % shape[dim]]]
    if call.name == "unbind":
        return dim, [[place] for place in everything]
    lengths = [output.shape[dim] for output in call.outputs]
    return dim, [everything[sum(lengths[:i]) : sum(lengths[: i + 1])] for i in range(len(lengths))]


def cut(call: Call) -> Result:
    boxes = call.read[0]
    dim, places = cuts(call, boxes.shape)
    return [boxes.pick(dim, p).reshape(tuple(o.shape)) for p, o in zip(places, call.outputs, strict=True)]


CUTS = ("slice", "select", "unbind", "split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes")
ORDERS = ("permute", "transpose", "t")
SAME_ORDER = (
    "view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze", "alias", "detach", "lift_fresh", "clone",
    "_to_copy", "contiguous",
)  # fmt: skip


def put_back(call: Call, base: Tensor, index: int, old: Boxes | None, new: Boxes | None) -> Boxes | None:
    """The boxes of a tensor after output `index` of `call`, a view of it, was overwritten with those of `new`."""
    shape = tuple(base.shape)
    if old is None and new is None:
        return None
    if call.name in SAME_ORDER and call.outputs[index].numel() == base.numel():
        return new and new.reshape(shape)
    if call.name in ORDERS:
        return new and new.permute([int(i) for i in np.argsort(order(call))])
    if call.name in CUTS:
        dim, places = cuts(call, shape)
        part = (*shape[:dim], len(places[index]), *shape[dim + 1 :])
        chosen = np.arange(shape[dim])
        chosen[list(places[index])] = shape[dim] + np.arange(len(places[index]))
        both = (*shape[:dim], shape[dim] + part[dim], *shape[dim + 1 :])
        return joined([old, new and new.reshape(part)], [shape[dim], part[dim]], dim, both).pick(dim, chosen.tolist())
    return (
        around([b for b in (old, new and new.everywhere(())) if b], shape).everywhere(shape).noted(call.note(ASSUMED))
    )


def concatenated(call: Call) -> Result:
    dim = call["dim"] % len(call.shape)
    tensors = [t for t in call["tensors"] if t.numel()]
    return joined([call.boxes_of(t) for t in tensors], [t.shape[dim] for t in tensors], dim, call.shape)


def stacked(call: Call) -> Result:
    dim = call["dim"] % len(call.shape)
    shape = (*call.shape[:dim], 1, *call.shape[dim + 1 :])
    items = [call.boxes_of(t) for t in call["tensors"]]
    return joined([b and b.reshape(shape) for b in items], [1] * len(items), dim, call.shape)


def unfolded(call: Call) -> Result:
    """Windows of one dimension, whose elements become the last dimension."""
    boxes, dim, size, step = call.read[0], call["dimension"] % call.read[0].rank, call["size"], call["step"]
    count = call.shape[dim]
    parts = [boxes.pick(dim, range(k, k + step * count, step)).reshape((*call.shape[:-1], 1)) for k in range(size)]
    return joined(parts, [1] * size, len(call.shape) - 1, call.shape)


def along(places: Callable[[Call, int, int], Places | None]) -> Rule:
    """The rule of an operator that gives other places along each dimension: `places(call, dim, length)`, or None."""

    def rule(call: Call) -> Result:
        boxes = call.read[0]
        for dim, length in enumerate(boxes.shape):
            found = places(call, dim, length)
            boxes = boxes if found is None else boxes.pick(dim, found)
        return boxes

    return rule


def roll(call: Call) -> Result:
    return along(rolled)(call) if call["dims"] else assumed(call)  # without dims, all dimensions as one


def flipped(call: Call, dim: int, length: int) -> Places | None:
    return range(length)[::-1] if dim in [d % len(call.shape) for d in call["dims"]] else None


def rolled(call: Call, dim: int, length: int) -> Places | None:
    dims = [d % len(call.shape) for d in per_dimension(call["dims"], 1)]
    if dim not in dims:
        return None
    shift = per_dimension(call["shifts"], len(dims))[dims.index(dim)]
    return [(place - shift) % length for place in range(length)]


def repeated(call: Call) -> Result:
    """`torch.Tensor.repeat`: dimensions of length 1 in front, then each one after itself so many times."""
    shape = [1] * (len(call.shape) - call.read[0].rank) + list(call.read[0].shape)
    boxes = call.read[0].reshape([n for length in shape for n in (1, length)])
    spread = around([boxes], [n for pair in zip(call["repeats"], shape, strict=True) for n in pair])
    return spread.reshape(call.shape)


def bordered(taps: Callable[[int, int, int], np.ndarray], name: str) -> Rule:
    """The rule of a padding; `name` is that of its argument, (before, after) from the last dimension backwards."""

    def rule(call: Call) -> Result:
        boxes, pad = call.read[0], call[name]
        for i in range(len(pad) // 2):
            dim, (before, after) = boxes.rank - 1 - i, pad[2 * i : 2 * i + 2]
            boxes = boxes.take(dim, taps(boxes.shape[dim], before, after)) if before or after else boxes
        return boxes

    return rule


def shuffled(call: Call) -> Result:
    """`(..., C * r * r, h, w)` -> `(..., C, h * r, w * r)`."""
    *front, channels, height, width = call.read[0].shape
    r, n = call["upscale_factor"], len(front)
    split = call.read[0].reshape((*front, channels // r**2, r, r, height, width))
    return split.permute([*range(n), n, n + 3, n + 1, n + 4, n + 2]).reshape(call.shape)


def unshuffled(call: Call) -> Result:
    """`(..., C, h * r, w * r)` -> `(..., C * r * r, h, w)`."""
    *front, channels, height, width = call.read[0].shape
    r, n = call["downscale_factor"], len(front)
    split = call.read[0].reshape((*front, channels, height // r, r, width // r, r))
    return split.permute([*range(n), n, n + 2, n + 4, n + 1, n + 3]).reshape(call.shape)


def channels_shuffled(call: Call) -> Result:
    """`(B, C, ...)`, whose channels are dealt out anew by groups."""
    batch, channels, *rest = call.read[0].shape
    split = call.read[0].reshape((batch, call["groups"], channels // call["groups"], *rest))
    return split.permute([0, 2, 1, *range(3, len(rest) + 3)]).reshape(call.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME_ORDER, same_order),
    **dict.fromkeys(ORDERS, permuted),
    **dict.fromkeys(CUTS, cut),
    "expand": expanded,
    "copy": copied,
    "cat": concatenated,
    "stack": stacked,
    "unfold": unfolded,
    "flip": along(flipped),
    "roll": roll,
    "repeat": repeated,
    "constant_pad_nd": bordered(padded, "pad"),
    **{f"reflection_pad{n}d": bordered(reflected, "padding") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": bordered(replicated, "padding") for n in (1, 2, 3)},
    "pixel_shuffle": shuffled,
    "pixel_unshuffle": unshuffled,
    "channel_shuffle": channels_shuffled,
    "native_channel_shuffle": channels_shuffled,
}
