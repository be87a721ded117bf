"""Rules of operators that compute: what each of their outputs reads of the inputs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from perpixel.analyze.trace import moves
from perpixel.analyze.trace.boxes import ASSUMED, MOVED, SIZED, WHOLE, Bounds, Boxes, Taps, Windows, around
from perpixel.analyze.trace.calls import Call, Result, Rule
from perpixel.analyze.trace.windows import (
    adaptive_taps,
    per_dimension,
    resize_taps,
    reversed_taps,
    transposed_taps,
    window_taps,
)


def pointwise(call: Call) -> Result:
    """Each element of the output reads the same element of every input."""
    read = call.read
    if len(read) == 1 and read[0].shape == call.shape:
        return read[0] if read[0].windows is None else around(read, call.shape)
    return around(read, call.shape)


def nothing(call: Call) -> Result:
    """A tensor of which only the shape comes from an input."""
    return None


def together(call: Call, boxes: Boxes, dims: Sequence[int], what: str | None = None) -> Boxes:
    """The box around all along the dimensions, which stay, of length 1; noted where that is all of the image."""
    seen = zip(WHOLE, boxes.sees_all(dims), strict=True)
    return boxes.hull(dims, keep=True).noted(*(call.note(kind, what) for kind, all_seen in seen if all_seen))


def reduced(call: Call) -> Result:
    """A sum, a mean, a maximum and so on, over some dimensions or all."""
    boxes = call.read[0]
    chosen = call.values.get("dim")
    every = chosen is None or (isinstance(chosen, Sequence) and not chosen)
    dims = range(boxes.rank) if every else [d % boxes.rank for d in per_dimension(chosen, 1)]
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


def convolution(call: Call) -> Result:
    boxes, weight = call.boxes("input"), call["weight"]
    items = []
    if boxes is not None:
        batch, channels, *sizes = boxes.shape
        groups, dims = call["groups"], len(sizes)
        grouped = boxes.reshape((batch, groups, channels // groups, *sizes)).hull([2], keep=True)
        settings = [per_dimension(call[name], dims) for name in ("stride", "padding", "dilation")]
        for i, (kernel, *setting) in enumerate(zip(weight.shape[2:], *settings, strict=True)):
            taps = transposed_taps if call["transposed"] else window_taps
            if (kernel, *setting) != (1, 1, 0, 1):
                grouped = grouped.take(3 + i, taps(sizes[i], call.shape[2 + i], kernel, *setting))
        spread = (batch, groups, call.shape[1] // groups, *call.shape[2:])
        items.append(around([grouped.slim()], spread).reshape(call.shape))
    items += [b.everywhere(call.shape) for name in ("weight", "bias") if (b := call.boxes(name)) is not None]
    return around(items, call.shape)


def pooled(call: Call) -> Result:
    """A maximum or a mean over windows of the last dimensions, and the positions of the maxima."""
    boxes = call.read[0]
    kernel = call["kernel_size"]
    dims = int(call.name[call.name.index("pool") + 4])
    kernel = per_dimension(kernel, dims)
    stride = per_dimension(call["stride"], dims) if call["stride"] else kernel
    padding, dilation = per_dimension(call["padding"], dims), per_dimension(call.values.get("dilation", 1), dims)
    sizes = list(zip(boxes.shape[-dims:], call.shape[-dims:], kernel, stride, padding, dilation, strict=True))
    return gathered(call, boxes, [window_taps(*size) for size in sizes])


def adaptive(call: Call) -> Result:
    """A pooling into a given number of windows, which are as large as the map makes them."""
    boxes, dims = call.read[0], len(call["output_size"])
    sizes = list(zip(boxes.shape[-dims:], call.shape[-dims:], strict=True))
    found = boxes if all(before == after for before, after in sizes) else boxes.noted(call.note(SIZED))
    return gathered(call, found, [adaptive_taps(*size) for size in sizes])


def gathered(call: Call, boxes: Boxes, taps: list[Taps]) -> list[Boxes | None]:
    """Taps along the last dimensions; a second output has the positions of maxima."""
    found = boxes
    for i, tap in enumerate(taps):
        found = found.take(boxes.rank - len(taps) + i, tap)
    windows = Windows(taps[0], taps[1], (boxes.shape[-2], boxes.shape[-1])) if len(taps) == 2 else None
    return [found, replace(found, windows=windows)][: len(call.outputs)]


def unpooled(call: Call) -> Result:
    """Values go where a max pooling found its maxima: within the window, or anywhere if the positions are not its own."""
    positions = call.boxes("indices")
    read = around(call.read, tuple(call["self"].shape))
    windows = positions and positions.windows
    if not windows or windows.size != call.shape[-2:]:
        return read.everywhere(call.shape).noted(call.note(ASSUMED))
    for dim, taps in ((read.rank - 2, windows.rows), (read.rank - 1, windows.columns)):
        read = read.take(dim, reversed_taps(taps, call.shape[dim]))
    return read


def resized(call: Call) -> Result:
    """Any of PyTorch's resizes; their arguments differ from one to the other, but for the size."""
    boxes = call.read[0]
    dims = len(call["output_size"])
    settings = [v for name, v in call.values.items() if name not in ("self", "input", "output_size")]
    sizes = list(zip(boxes.shape[-dims:], call.shape[-dims:], strict=True))
    for i, (before, after) in enumerate(sizes):
        scales = [v for v in settings if not isinstance(v, bool)]
        flags = [v for v in settings if isinstance(v, bool)]
        own = scales[i] if len(scales) == dims else None
        taps = resize_taps(call.operator, before, after, (*flags, *[None] * (dims - 1), own))
        boxes = boxes.take(boxes.rank - dims + i, taps)
    return boxes if all(a == b for a, b in sizes) else boxes.noted(call.note(SIZED))


def windows_as_channels(call: Call) -> Result:
    """`torch.nn.functional.unfold`: `(B, C, H, W)` -> `(B, C * kernel, windows)`."""
    boxes = call.read[0]
    for i, taps in enumerate(window_grid(call, boxes.shape[-2:])):
        dim = 2 + 2 * i
        shape = (*boxes.shape[:dim], *taps.T.shape, *boxes.shape[dim + 1 :])
        boxes = boxes.take(dim, taps.T.reshape(-1, 1)).reshape(shape)  # B,C,kernel,count,W and so on
    return boxes.permute([0, 1, 2, 4, 3, 5]).reshape(call.shape)


def channels_as_windows(call: Call) -> Result:
    """`torch.nn.functional.fold`: `(B, C * kernel, windows)` -> `(B, C, H, W)`, added where windows overlap."""
    sizes = call["output_size"]
    grid = window_grid(call, sizes)
    (count, kernel), (width_count, width_kernel) = (taps.shape for taps in grid)
    split = (call.shape[0], call.shape[1], kernel, width_kernel, count, width_count)
    boxes = call.read[0].reshape(split).permute([0, 1, 2, 4, 3, 5])
    boxes = boxes.reshape((*call.shape[:2], kernel * count, width_kernel * width_count))
    for dim, (taps, size) in enumerate(zip(grid, sizes, strict=True)):
        boxes = boxes.take(2 + dim, reversed_taps(taps.T.reshape(-1, 1), size))
    return boxes


def window_grid(call: Call, sizes: Sequence[int]) -> list[Taps]:
    """The taps of the windows of `fold` and `unfold` along rows and columns."""
    names = ("kernel_size", "stride", "padding", "dilation")
    found = []
    for length, *setting in zip(sizes, *(per_dimension(call[name], 2) for name in names), strict=True):
        kernel, stride, padding, dilation = setting
        count = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        found.append(window_taps(length, count, kernel, stride, padding, dilation))
    return found


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
    return moves.assumed(call) if boxes is None else around([boxes.reshape((*boxes.shape, 1))], call.shape)


def indexed(call: Call) -> Result:
    """`x[..., indices, ...]`: exact where the indices are known, else anything."""
    boxes = call.boxes("self")
    given = {dim: index for dim, index in enumerate(call["indices"]) if index is not None}
    known = {dim: call.constant(index) for dim, index in given.items()}
    if boxes is None or any(value is None or value.dtype == torch.bool for value in known.values()):
        return moves.assumed(call)
    places = [value.cpu().numpy() % boxes.shape[dim] for dim, value in known.items() if value is not None]
    shape = np.broadcast_shapes(*(place.shape for place in places))
    for dim in known:
        boxes = boxes.merged(dim)
    front = boxes.permute([*known, *(dim for dim in range(boxes.rank) if dim not in known)])
    new = len(shape)

    def read(bounds: Bounds) -> Bounds:
        picks = [p if bounds.shape[1 + i] > 1 else np.zeros_like(p, shape=[1] * new) for i, p in enumerate(places)]
        return bounds[(slice(None), *(p.reshape(*[1] * (new - p.ndim), *p.shape) for p in picks))]

    found = front.each(read, (*((length,) for length in shape), *front.groups[len(known) :]))
    side_by_side = max(known) - min(known) + 1 == len(known)
    before = range(new, new + min(known)) if side_by_side else range(0)
    return found.permute([*before, *range(new), *range(new + len(before), found.rank)])


def selected(call: Call) -> Result:
    """`torch.index_select`."""
    boxes, places = call.boxes("self"), call.constant(call["index"])
    if boxes is None or places is None:
        return moves.assumed(call)
    return boxes.pick(call["dim"] % boxes.rank, places.flatten().tolist())


def halves(call: Call) -> Result:
    """A gated linear unit: one half of a dimension times the other."""
    boxes, dim = call.read[0], call["dim"] % call.read[0].rank
    half = boxes.shape[dim] // 2
    return around([boxes.pick(dim, range(half)), boxes.pick(dim, range(half, 2 * half))], call.shape)


RESIZES = ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d", "nearest1d", "nearest2d", "nearest3d")
EXACT = tuple(f"_upsample_nearest_exact{n}d" for n in (1, 2, 3))
SMOOTH = ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")
BATCH_NORMS = (
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
    "_batch_norm_with_update", "_batch_norm_no_update",
)  # fmt: skip
POOLS = ("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
ADAPTIVE = ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
REDUCTIONS = (
    "sum", "mean", "amax", "amin", "aminmax", "max", "min", "argmax", "argmin", "prod", "any", "all", "logsumexp", "var",
    "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "median", "nanmedian", "nansum", "mode", "kthvalue",
)  # fmt: skip
OVER_ONE = ("_softmax", "_safe_softmax", "_log_softmax", "sort", "argsort", "topk")
RUNNING = ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
POINTWISE = ("_prelu_kernel", "rrelu_with_noise", "native_dropout", "bernoulli", "tril", "triu")
"""Those that PyTorch does not mark as such."""
ATTENTIONS = ("scaled_dot_product", "_scaled_dot_product")
"""Beginnings of names."""

RULES: dict[str, Rule] = {
    **moves.RULES,
    **dict.fromkeys((*(f"upsample_{name}" for name in RESIZES), *EXACT, *SMOOTH), resized),
    **dict.fromkeys(BATCH_NORMS, batch_norm),
    **dict.fromkeys(POOLS, pooled),
    **dict.fromkeys(ADAPTIVE, adaptive),
    **dict.fromkeys(REDUCTIONS, reduced),
    **dict.fromkeys(OVER_ONE, over_one),
    **dict.fromkeys(RUNNING, running),
    **dict.fromkeys(POINTWISE, pointwise),
    **dict.fromkeys(FACTORS, product),
    **dict.fromkeys(("fill", "zero"), nothing),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), sampled),
    **dict.fromkeys(("scatter", "scatter_add"), scatter),
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    "convolution": convolution,
    "max_unpool2d": unpooled,
    "im2col": windows_as_channels,
    "col2im": channels_as_windows,
    "torchvision::deform_conv2d": deformable,
    "gather": gather,
    "embedding": embedded,
    "index": indexed,
    "index_select": selected,
    "glu": halves,
}
"""Name of an operator, as `Call` has it -> its rule."""


def rule_of(name: str, operator: Any) -> Rule:
    """The rule of an operator; `moves.assumed` for one that is unknown."""
    if name in RULES:
        return RULES[name]
    if name.startswith("new_") or name.endswith("_like"):
        return nothing
    if name.startswith(ATTENTIONS):
        return attention
    return pointwise if torch.Tag.pointwise in operator.tags else moves.assumed
