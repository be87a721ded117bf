"""Rules of operators that slide windows over maps: convolutions, poolings, resizes."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from perpixel.analyze.trace.bounds import Taps
from perpixel.analyze.trace.boxes import ASSUMED, CORNERS, FACTOR, SIZED, Boxes, Windows, around
from perpixel.analyze.trace.calls import Call, Result
from perpixel.analyze.trace.windows import (
    adaptive_taps,
    per_dimension,
    resize_taps,
    reversed_taps,
    transposed_taps,
    window_taps,
)


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


def gathered(call: Call, boxes: Boxes, taps: list[Taps]) -> Sequence[Boxes]:
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
    scales = [v for v in settings if not isinstance(v, bool)]
    flags = [v for v in settings if isinstance(v, bool)]
    for i, (before, after) in enumerate(sizes):
        own = scales[i] if len(scales) == dims else None
        taps = resize_taps(call.operator, before, after, (*flags, *[None] * (dims - 1), own))
        boxes = boxes.take(boxes.rank - dims + i, taps)
        if before != after:
            factor = CORNERS if any(flags) else str(Fraction(after, before) if own is None else Fraction(own))
            boxes = boxes.noted(call.note(SIZED), call.note(FACTOR, factor))
    return boxes


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
