"""How much memory a network takes, at inference and in training, for any size of image, before it is run.

Counted is what PyTorch's tensors take and, if wanted, what convolutions on a CPU take besides for their own work
(workspace.py). Other workspaces, such as a GPU's, and what PyTorch itself takes are not.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from perpixel.analyze.dry_run import blank, dry_run, named_tensors, refusal, watched, weights_without_values
from perpixel.analyze.ledger import Ledger, Piece, Workspace
from perpixel.core import Size

TOKENS = ("bmm", "baddbmm", "_scaled_dot_product")
"""Beginnings of the names of operators that multiply maps with each other."""


@dataclass(frozen=True)
class Carried:
    """What is kept of an encoder until the decoder reads it, such as a skip's map or the positions of a pooling.

    module: where it was made. `size` is in bytes.
    """

    module: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    size: int


@dataclass(frozen=True)
class InferenceMemory:
    """In bytes.

    weights: parameters and running statistics.
    activations: the most that is held at once beside the weights, the image and the result among it.
    peak_at: the module in which that is; "" is the network itself.
    carried: what is kept of finer maps, and of positions, while the network works on its coarsest maps, and read behind them;
        at the moment when that is least. Empty for a network without such, and for one that multiplies maps with each
        other, as attention does: its coarsest map cannot be told from its tokens.
    """

    weights: int
    activations: int
    peak_at: str
    carried: tuple[Carried, ...]

    @property
    def total(self) -> int:
        return self.weights + self.activations


@dataclass(frozen=True)
class TrainingMemory:
    """Of one step, in bytes.

    weights: parameters and running statistics.
    optimiser: what it keeps beside each trained parameter.
    kept: what the forward pass and the loss leave for the backward pass, images and labels among it.
    activations: the most that is held at once in both passes beside weights and optimiser; gradients are among it.
    kept_by: the bytes among `kept`, by the module in which they were made.
    """

    weights: int
    optimiser: int
    kept: int
    activations: int
    kept_by: dict[str, int]

    @property
    def total(self) -> int:
        return self.weights + self.optimiser + self.activations


def inference_memory(
    model: nn.Module, size: Size, in_channels: int = 3, batch: int = 1, workspace: Workspace | None = None
) -> InferenceMemory:
    """What a forward pass in eval takes, without gradients.

    Args:
        model: on any device; it is left as it is.
        size: (H, W) of the images.
        workspace: what operators take besides, such as `perpixel.analyze.workspace.on_cpu`.

    Raises:
        UserError: the network decides by the values of its maps, which have none here, or cannot take this size.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))  # 4 bytes a number
    >>> found = inference_memory(model, (100, 100))
    >>> found.weights == 4 * (8 * 27 + 8 + 8 * 2 + 2), found.activations == 4 * 100 * 100 * (3 + 8 + 8), found.peak_at
    (True, True, '1')
    """
    weights = weights_without_values(model)
    image = blank(model, size, in_channels, batch)
    ledger = Ledger(weights.values(), [image], workspace)
    with booked(model, ledger):
        output = dry_run(model, image, weights=weights)
    del output
    return InferenceMemory(bytes_of(weights.values()), ledger.peak, ledger.peak_at, carried(ledger))


def training_memory(
    model: nn.Module,
    size: Size,
    batch: int = 1,
    in_channels: int = 3,
    optimiser_states: int = 2,
    workspace: Workspace | None = None,
) -> TrainingMemory:
    """What a step of training takes, in full precision, with cross entropy for each map of the image's size.

    Args:
        model: on any device; it is left as it is. Its parts are taken in the modes in which they are.
        size: (H, W) of what is cut from the images.
        optimiser_states: numbers that the optimiser keeps for each trained one: 2 for Adam, 1 for SGD with momentum.
        workspace: as in `inference_memory`.

    Raises:
        UserError: the network decides by the values of its maps, which have none here, or cannot take this size.
    """
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    weights = {name: t.requires_grad_(name in trained) for name, t in weights_without_values(model).items()}
    image, labels = blank(model, size, in_channels, batch), torch.empty(batch, *size, dtype=torch.long, device="meta")
    ledger = Ledger(weights.values(), [image, labels], workspace)
    try:
        with booked(model, ledger):
            loss = losses(functional_call(model, weights, (image,)), labels)
            kept = ledger.now()
            loss.backward()
    except (NotImplementedError, RuntimeError) as error:
        raise refusal(model, error) from error
    by: dict[str, int] = {}
    for piece in kept:
        by[piece.maker] = by.get(piece.maker, 0) + piece.size
    states = optimiser_states * bytes_of(weights[name] for name in trained)
    return TrainingMemory(bytes_of(weights.values()), states, sum(p.size for p in kept), ledger.peak, by)


@contextmanager
def booked(model: nn.Module, ledger: Ledger) -> Iterator[None]:
    """Within, the ledger is on and knows which module is running."""
    with watched(model, lambda name, _: ledger.place.append(name), lambda _name, _output: leave(ledger)), ledger:
        yield


def leave(ledger: Ledger) -> None:
    ledger.place.pop()


def losses(output: Any, labels: Tensor) -> Tensor:
    """Cross entropy of each map of the image's size, and the sum of any other result."""
    found = [t for _, t in named_tensors("", output) if t.is_floating_point()]
    maps = [t.dim() == 4 and t.shape[2:] == labels.shape[1:] and t.shape[1] > 1 for t in found]
    each = [F.cross_entropy(t, labels) if is_map else t.sum() for t, is_map in zip(found, maps, strict=True)]
    return torch.stack(each).sum()


def carried(ledger: Ledger) -> tuple[Carried, ...]:
    """What crosses from the encoder to the decoder beside the coarsest map, at the moment when that is least."""
    pieces = [p for p in ledger.pieces if p.made]
    maps = [p for p in pieces if len(p.shape) == 4 and p.dtype.is_floating_point]
    if not maps or any(name.startswith(TOKENS) for name in ledger.operators):
        return ()
    coarsest = min(area(p) for p in maps)
    coarse = [p for p in maps if area(p) == coarsest]
    others = [p for p in pieces if p not in coarse]
    moments = range(min(p.made for p in coarse), max(p.last_read for p in coarse))
    crossing = [[p for p in others if p.made <= moment < p.last_read] for moment in moments]
    least = min(crossing, key=lambda some: sum(p.size for p in some), default=[])
    return tuple(Carried(p.maker, p.shape, p.dtype, p.size) for p in least)


def area(piece: Piece) -> int:
    return piece.shape[-2] * piece.shape[-1]


def bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
