"""Every piece of memory that a network takes as it runs: who made it, when it was last read, when it was given back.

Tensors without values (the "meta" device) are made and given back as those with values are, because Python and autograd
hold them alike. So a run without values tells of the memory of one with them, and takes none.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Workspace = Callable[[str, tuple[Any, ...], list[Tensor]], int]
"""The most bytes that an operator holds while it runs, from its name, its arguments and its outputs."""
OUTSIDE = "(outside)"
"""The maker of what no module made: a batch, a loss, all of a backward pass."""


@dataclass(eq=False)
class Piece:
    """Memory of one or more tensors that share it.

    size: bytes. `shape` and `dtype` are those of the first tensor on it, `maker` the module that was running then.
    made, last_read: numbers of operators.
    """

    size: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    maker: str
    made: int
    last_read: int


class Ledger(TorchDispatchMode):
    """Keeps the books while it is on.

    pieces: all that were ever made, in order; those of `weights` are not counted.
    operators: the names of all that ran.
    peak: the most bytes that were held at once, and `peak_at`, the module that was running then.
    place: names of the modules that are running, innermost last, behind `OUTSIDE`; whoever runs the network keeps it.
    """

    def __init__(
        self, weights: Iterable[Tensor], given: Iterable[Tensor] = (), workspace: Workspace | None = None
    ) -> None:
        super().__init__()
        self.workspace = workspace
        self.weights = {address(t) for t in weights}
        self.pieces: list[Piece] = []
        self.held: dict[int, tuple[Piece, StorageWeakRef]] = {}
        self.operators: set[str] = set()
        self.clock = self.peak = self.size = 0
        self.peak_at = ""
        self.place = [OUTSIDE]
        for tensor in given:
            self.add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.sweep()
        self.clock += 1
        result = func(*args, **(kwargs or {}))
        for tensor in tensors((args, kwargs)):
            if (found := self.held.get(address(tensor))) is not None:
                found[0].last_read = self.clock
        before, outputs = self.size, tensors(result)
        for tensor in outputs:
            self.add(tensor)
        name = func._schema.name.removeprefix("aten::")
        self.operators.add(name)
        held = max(self.size, before + self.workspace(name, args, outputs) if self.workspace else 0)
        if held > self.peak:
            self.peak, self.peak_at = held, self.place[-1]
        return result

    def add(self, tensor: Tensor) -> None:
        key, storage = address(tensor), tensor.untyped_storage()
        if key in self.weights or key in self.held or not storage.nbytes():
            return
        piece = Piece(storage.nbytes(), tuple(tensor.shape), tensor.dtype, self.place[-1], self.clock, self.clock)
        self.pieces.append(piece)
        self.held[key] = piece, StorageWeakRef(storage)
        self.size += piece.size

    def sweep(self) -> None:
        """Strikes out what was given back since."""
        expired = torch.UntypedStorage._expired  # as `StorageWeakRef.expired`, without two calls in between
        for key in [key for key, (_, reference) in self.held.items() if expired(reference.cdata)]:
            self.size -= self.held.pop(key)[0].size

    def now(self) -> list[Piece]:
        """What is held."""
        self.sweep()
        return [piece for piece, _ in self.held.values()]


def tensors(tree: Any) -> list[Tensor]:
    return [t for t in tree_leaves(tree) if isinstance(t, Tensor)]


def address(tensor: Tensor) -> int:
    """Names a tensor's memory for as long as something, if only a weak reference, points to it."""
    return tensor.untyped_storage()._cdata
