"""Rules of operators that put many elements into one: sums, norms, products of matrices, attention."""

from collections.abc import Sequence

import numpy as np
from torch import nn

from perpixel.analyze.trace.boxes import WHOLE, Boxes, around
from perpixel.analyze.trace.calls import Call, Result
from perpixel.analyze.trace.windows import per_dimension


def together(call: Call, boxes: Boxes, dims: Sequence[int], what: str | None = None) -> Boxes:
    """The box around all along the dimensions, which stay, of length 1; noted where that is all of the image."""
    seen = zip(WHOLE, boxes.sees_all(dims), strict=True)
    return boxes.hull(dims, keep=True).noted(*(call.note(kind, what) for kind, all_seen in seen if all_seen))


def reduced(call: Call) -> Result:
    """A sum, a mean, a maximum and so on, over some dimensions or all."""
    boxes = call.read[0]
    chosen = call.values.get("dim")
    some = [] if chosen is None or chosen == [] else per_dimension(chosen, 1)
    dims = [d % boxes.rank for d in some] or range(boxes.rank)
    return together(call, boxes, dims).reshape(call.shape)


def over_one(call: Call) -> Result:
    """A softmax, a sorting and so on: along one dimension, everything reads everything."""
    boxes = call.read[0]
    return around([together(call, boxes, [call.values.get("dim", -1) % boxes.rank])], call.shape)


def running(call: Call) -> Result:
    """A cumulative sum and so on: everything reads what stands before it, and itself."""
    boxes, dim = call.read[0], call["dim"] % call.read[0].rank
    merged = boxes.merged(dim)
    axis = merged.axes(dim).start
    return merged.each(lambda bounds: np.minimum.accumulate(bounds, axis=axis), merged.groups)


FACTORS = {
    "mm": ("self", "mat2"), "bmm": ("self", "mat2"), "mv": ("self", "vec"), "dot": ("self", "tensor"),
    "addmm": ("mat1", "mat2"), "baddbmm": ("batch1", "batch2"), "addmv": ("mat", "vec"),
}  # fmt: skip
"""The two that each product of matrices multiplies; where neither is "self", that is added."""


def product(call: Call) -> Result:
    """A product of `(..., i, k)` and `(..., k, j)`, or of vectors `(k,)`, and what is added to it."""
    left, right = FACTORS[call.name]
    items = [] if left == "self" else [call.boxes("self")]
    if (boxes := call.boxes(left)) is not None:
        summed = together(call, boxes, [boxes.rank - 1], "product of matrices")
        items.append(summed if call[right].dim() > 1 else summed.reshape(call.shape))
    if (boxes := call.boxes(right)) is not None:
        summed = together(call, boxes, [max(boxes.rank - 2, 0)], "product of matrices")
        items.append(summed if boxes.rank > 1 else summed.reshape(()))
    return around([item for item in items if item is not None], call.shape)


def attention(call: Call) -> Result:
    """Each query `(..., L, E)` reads itself and all keys and values `(..., S, E)`; a causal mask is not believed."""
    rank = len(call.shape)
    items = []
    for name in ("query", "key", "value", "attn_mask", "attn_bias"):
        if (boxes := call.boxes(name)) is not None:
            dims = [boxes.rank - 1] if name == "query" else [boxes.rank - 2, boxes.rank - 1]
            items.append(together(call, boxes, dims, "attention"))
    first = around(items, (*call.shape[:-1], 1) if rank else ())
    return [around([first], call.shape), *(first.everywhere(tuple(o.shape)) for o in call.outputs[1:])]


def batch_norm(call: Call) -> Result:
    """By running statistics, each element reads itself; by those of the batch, all of its channel."""
    boxes = call.boxes("input")
    assert boxes is not None
    own = call.values.get("training", call.values.get("train", call.name.endswith("with_update")))
    if call.name.endswith("no_training") or not own:
        return rest_unread(call, boxes)
    kind = "instance norm" if isinstance(call.module, nn.modules.instancenorm._InstanceNorm) else "batch norm"
    what = kind if kind == "instance norm" else "batch norm by the statistics of the whole batch"
    dims = [d for d in range(boxes.rank) if d != 1]
    return rest_unread(call, around([together(call, boxes, dims, what)], call.shape))


def layer_norm(call: Call) -> Result:
    boxes = call.boxes("input")
    assert boxes is not None
    dims = range(boxes.rank - len(call["normalized_shape"]), boxes.rank)
    return rest_unread(call, around([together(call, boxes, dims, "layer norm")], call.shape))


def group_norm(call: Call) -> Result:
    boxes = call.boxes("input")
    assert boxes is not None
    batch, channels, *rest = boxes.shape
    grouped = boxes.reshape((batch, call["group"], channels // call["group"], *rest))
    found = together(call, grouped, range(2, grouped.rank), "group norm")
    return rest_unread(call, around([found], grouped.shape).reshape(call.shape))


def rest_unread(call: Call, first: Boxes) -> list[Boxes | None]:
    """Statistics that a norm returns beside its result are taken to read everything."""
    return [first, *(first.everywhere(tuple(output.shape)) for output in call.outputs[1:])]
