"""The maps of a network's layers, read while it runs, by the names of `named_modules()`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError, nearest

LOGITS = "logits"
"""The name of what the network itself returns."""

Keep = Callable[[str, Tensor], Tensor]


class _Enough(Exception):
    """All wanted maps were seen; the rest of the pass is not needed."""


class Maps:
    """Runs a network up to the last of some layers: batch `(B, C, H, W)` -> what `keep` made of each layer's map.

    Args:
        model: on any device, in the mode in which it shall run.
        layers: names of `model.named_modules()`, or "logits".
        keep: gets a layer's name and its map `(B, C', h, w)` while the network runs. What it returns must not be a view of
            the map: the layer after it may overwrite that in place.

    A layer that runs several times counts by its last run, one that returns a tuple or list by the first member; `keep` gets
    the maps of its earlier runs, too, of whatever shape, and may fail on them. After the first pass, a pass ends where the last
    wanted map was seen: exact, and cheaper for early layers.

    Raises:
        UserError: no such layer, or one that gives no map of four dimensions.
    """

    def __init__(self, model: nn.Module, layers: Iterable[str], keep: Keep) -> None:
        self.model, self.layers, self.keep = model, check_layers(model, layers), keep
        self._runs: int | None = None  # of wanted layers in one pass

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor | Exception] = {}
        runs = 0

        def look(name: str, output: Any) -> None:
            nonlocal runs
            try:
                found[name] = self.keep(name, as_map(name, output))
            except (IndexError, UserError) as error:
                found[name] = error
            runs += 1
            if runs == self._runs:
                raise _Enough

        with hooked(self.model, self.layers, look):
            try:
                self.model(batch)
            except _Enough:
                return sound(found)
        if missing := [name for name in self.layers if name not in found]:
            raise UserError(f'layer "{missing[0]}" did not run on this image, so that it has no map; choose another')
        self._runs = runs
        return sound(found)


def sound(found: Mapping[str, Tensor | Exception]) -> dict[str, Tensor]:
    """What was kept; raises what went wrong in the last run of a layer."""
    for kept in found.values():
        if isinstance(kept, Exception):
            raise kept
    return {name: kept for name, kept in found.items() if isinstance(kept, Tensor)}


@contextmanager
def hooked(model: nn.Module, layers: Iterable[str], look: Callable[[str, Any], None]) -> Iterator[None]:
    """Within: `look` gets the name and the output of every layer that runs."""
    modules = dict(model.named_modules())
    handles = [
        (model if name == LOGITS else modules[name]).register_forward_hook(
            lambda _, __, output, name=name: look(name, output)  # type: ignore[misc]
        )
        for name in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def as_map(name: str, output: Any) -> Tensor:
    """The map in what a layer returned.

    Raises:
        UserError: there is none.
    """
    if (found := _find_map(name, output)) is None:
        raise UserError(f'layer "{name}" gives no map of (batch, channels, rows, columns); choose another')
    return found


def _find_map(name: str, output: Any) -> Tensor | None:
    """A tensor of four dimensions; of a tuple or list the first member, of the network's own dict the logits."""
    if name == LOGITS and isinstance(output, dict):
        output = output.get(LOGITS)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) and output.dim() == 4 else None


def check_layers(model: nn.Module, layers: Iterable[str]) -> tuple[str, ...]:
    """The names as they are, each once.

    Raises:
        UserError: none at all, or one that the network does not have.
    """
    names = tuple(dict.fromkeys(layers))
    known = {LOGITS, *(name for name, _ in model.named_modules() if name)}
    for name in names:
        if name not in known:
            children = ", ".join(n for n, _ in model.named_children())
            hint = nearest(name, known) or f" It has {children}, logits, and their parts."
            raise UserError(f'{type(model).__name__} has no layer "{name}".{hint}')
    if not names:
        raise UserError("name one layer or more, as in model.named_modules(), or logits")
    return names


def map_shapes(model: nn.Module, image: Tensor) -> dict[str, tuple[int, int, int]]:
    """(channels, rows, columns) of every layer that gives one map, in the order in which they ran, "logits" last."""
    shapes: dict[str, tuple[int, int, int]] = {}

    def look(name: str, output: Any) -> None:
        if (found := _find_map(name, output)) is not None:
            shapes.pop(name, None)
            shapes[name] = (found.shape[1], found.shape[2], found.shape[3])

    names = [name for name, _ in model.named_modules() if name]
    with hooked(model, [*names, LOGITS], look), torch.no_grad():
        model(image)
    return shapes


def main_layers(model: nn.Module, image: Tensor, most: int = 8) -> tuple[str, ...]:
    """The stages of a network, in the order in which they run: its children, what these are made of where a child gives no
    map (or where there are fewer than 4), and "logits" as the last. Of more than `most`, so many at even distances."""
    shapes = map_shapes(model, image)
    names = [name for child, _ in model.named_children() for name in _with_maps(model, child, shapes)]
    finer = [part for name in names for part in _parts_with_maps(model, name, shapes) or [name]]
    names = finer if len(names) < 4 else names
    ordered = [name for name in shapes if name in names]
    kept = min(len(ordered), most - 1)
    return (*(ordered[(n + 1) * len(ordered) // kept - 1] for n in range(kept)), LOGITS)


def _with_maps(model: nn.Module, name: str, shapes: dict[str, tuple[int, int, int]]) -> list[str]:
    """A layer if it gives a map, else those that do of what it is made of."""
    return [name] if name in shapes else _parts_with_maps(model, name, shapes)


def _parts_with_maps(model: nn.Module, name: str, shapes: dict[str, tuple[int, int, int]]) -> list[str]:
    parts = [f"{name}.{child}" for child, _ in model.get_submodule(name).named_children()]
    return [found for part in parts for found in _with_maps(model, part, shapes)]
