"""What `perpixel models NAME` shows of one network: what it costs at a size, and its receptive fields, layer by layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perpixel.cli.networks import giga
from perpixel.core import Size
from perpixel.core.errors import UserError, nearest
from perpixel.core.networks import is_detector, read_networks

if TYPE_CHECKING:
    from torch import nn

    from perpixel.analyze import Field, InferenceMemory, LayerCost, TrainingMemory

ITSELF = "(itself)"
"""What no part of the network does."""
LAYOUT = "{:<34} {:>11} {:>13}  {:<20} {:>9}"
FIELD_LAYOUT = "{:<34} {:>13} {:>11} {:>15}  {}"


def network(name: str, classes: int, channels: int) -> tuple["nn.Module", int]:
    """A network of the catalog without memory, or that of a run, a bundle or a bundled model; and its channels.

    Raises:
        UserError: there is no such network or model, or it is a detector.
    """
    import torch

    from perpixel.infer import load
    from perpixel.models import build

    if name in read_networks():
        with torch.device("meta"):
            return build(name, num_classes=classes, in_channels=channels), channels
    if is_detector(name):
        raise UserError(f"{name} finds objects: its cost depends on the regions it looks at; not counted")
    try:
        predictor = load(name, "cpu")
    except UserError as error:
        if Path(name).exists():
            raise
        raise UserError(
            f'no network, run or model "{name}"; perpixel models lists them.{nearest(name, read_networks())}'
        ) from error
    return predictor.model, predictor.preprocessing.channels


def cost_lines(name: str, size: Size, classes: int, channels: int, depth: int) -> list[str]:
    """Work and memory of one image, in all and by layer.

    Args:
        depth: layers are added up by so many parts of their names; 0 shows each.
    """
    from perpixel.analyze import inference_memory, layer_costs, training_memory

    model, channels = network(name, classes, channels)
    layers = layer_costs(model, size, channels)
    inference, training = inference_memory(model, size, channels), training_memory(model.train(), size, 1, channels)
    work = sum(layer.multiply_adds for layer in layers)
    parameters = sum(p.numel() for p in model.parameters())
    return [
        f"{name}: {parameters:,} parameters, {giga(work)} multiply-adds; one image of {size[0]}x{size[1]}, {channels} channels",
        "",
        LAYOUT.format("layer", "parameters", "multiply-adds", "last map", "kept, MB"),
        *(_row(key, group) for key, group in _grouped(layers, depth).items()),
        "",
        *_inference(inference),
        *_carried(inference),
        *_training(training),
        "MB are of 2^20 bytes, in fp32, of tensors; what libraries take besides is not counted.",
    ]


def _grouped(layers: Sequence["LayerCost"], depth: int) -> dict[str, list["LayerCost"]]:
    """The layers by the first parts of their names, in the order in which they come."""
    found: dict[str, list[LayerCost]] = {}
    for layer in layers:
        name = ".".join(layer.name.split(".")[:depth]) if depth else layer.name
        found.setdefault(name or ITSELF, []).append(layer)
    return found


def _row(name: str, layers: Sequence["LayerCost"]) -> str:
    parameters, work, kept = (
        sum(getattr(layer, k) for layer in layers) for k in ("parameters", "multiply_adds", "kept")
    )
    shape = "x".join(map(str, layers[-1].shape[1:]))
    return LAYOUT.format(name, f"{parameters:,}", giga(work), shape, f"{kept / 2**20:,.1f}")


def _inference(found: "InferenceMemory") -> list[str]:
    return [
        f"inference {mega(found.total)}: weights {mega(found.weights)}, and at most {mega(found.activations)} of maps, "
        f"in {found.peak_at or ITSELF}"
    ]


def _carried(found: "InferenceMemory") -> list[str]:
    if not found.carried:
        return []
    total = sum(piece.size for piece in found.carried)
    pieces = [
        f"          {mega(p.size):>9} {str(p.dtype).removeprefix('torch.')} {'x'.join(map(str, p.shape))}, made in {p.module or ITSELF}"
        for p in found.carried
    ]
    return [f"carried   {mega(total)} from encoder to decoder beside the coarsest map:", *pieces]


def _training(found: "TrainingMemory") -> list[str]:
    return [
        f"training  {mega(found.total)} for a batch of one: weights {mega(found.weights)}, AdamW {mega(found.optimiser)}, and at "
        f"most {mega(found.activations)} of maps and gradients",
        f"          {mega(found.kept)} are kept between the two passes",
    ]


def mega(size: int) -> str:
    """Bytes for reading.

    >>> mega(3 * 2**20), mega(2**31), mega(2**14)
    ('3.0 MB', '2,048.0 MB', '0.02 MB')
    """
    return f"{size / 2**20:,.{1 if size >= 2**20 else 2}f} MB"


def field_lines(name: str, classes: int, channels: int) -> list[str]:
    """The receptive field of every layer."""
    from perpixel.analyze import receptive_fields

    model, channels = network(name, classes, channels)
    found = receptive_fields(model, channels)
    rows = [
        FIELD_LAYOUT.format(layer or ITSELF, _pair(f.size), _stride(f), _pair(f.offset), f.note).rstrip()
        for layer, f in found.items()
    ]
    heading = f"{name}: receptive fields in theory, in pixels, rows x columns where they differ; all: the whole image"
    return [heading, FIELD_LAYOUT.format("layer", "side", "stride", "offset", "note"), *rows]


def _stride(field: "Field") -> str:
    return "-" if float("inf") in field.size else _pair(field.stride)


def _pair(values: tuple[float, float]) -> str:
    """Rows and columns.

    >>> _pair((3.0, 3.0)), _pair((float("inf"), 5)), _pair((float("nan"), float("nan")))
    ('3', 'all x 5', '-')
    """
    rows, columns = ("-" if v != v else "all" if v == float("inf") else f"{v:g}" for v in values)
    return rows if rows == columns else f"{rows} x {columns}"
