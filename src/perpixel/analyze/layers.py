"""What each layer of a network costs: parameters, multiply-adds, and what it keeps for training."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, shape_wrapper

from perpixel.analyze.costs import deformable_flops
from perpixel.analyze.dry_run import blank, dry_run, named_tensors, watched
from perpixel.analyze.memory import training_memory
from perpixel.core import Size

FLOPS: dict[Any, Any] = {**flop_registry, torch.ops.torchvision.deform_conv2d: shape_wrapper(deformable_flops)}


@dataclass(frozen=True)
class LayerCost:
    """Of one module, without the modules in it, for one image.

    kind: its class.
    parameters: its own; those that it shares with a module before it are counted there.
    multiply_adds: as in `Cost`, in all of its calls.
    shape: of the first tensor that it returned, in its last call; () for none.
    kept: bytes that it makes and that training keeps until the backward pass.
    """

    name: str
    kind: str
    parameters: int
    multiply_adds: int
    shape: tuple[int, ...]
    kept: int


class MultiplyAdds(TorchDispatchMode):
    """Counts them by the module that is running, the last of `place`."""

    def __init__(self) -> None:
        super().__init__()
        self.place = [""]
        self.by: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (flops := FLOPS.get(func.overloadpacket)) is not None:
            name = self.place[-1]
            self.by[name] = self.by.get(name, 0) + flops(*args, **(kwargs or {}), out_val=result) // 2
        return result


def layer_costs(model: nn.Module, size: Size, in_channels: int = 3) -> list[LayerCost]:
    """Every module that ran and costs something, in the order in which modules are first called.

    Args:
        model: on any device; it is left as it is.
        size: (H, W) of the image.

    Raises:
        UserError: the network decides by the values of its maps, which have none here, or cannot take this size.

    >>> [layer] = layer_costs(nn.Conv2d(3, 8, 3, padding=1, bias=False), (10, 20))
    >>> layer.parameters, layer.multiply_adds, layer.shape
    (216, 43200, (1, 8, 10, 20))
    """
    counter, shapes = MultiplyAdds(), dict[str, tuple[int, ...]]()

    def enter(name: str, _: nn.Module) -> None:
        counter.place.append(name)
        shapes.setdefault(name, ())

    def leave(name: str, output: Any) -> None:
        counter.place.pop()
        shapes[name] = next((tuple(t.shape) for _, t in named_tensors(name, output)), ())

    with watched(model, enter, leave), counter:
        dry_run(model, blank(model, size, in_channels))
    kept = training_memory(model, size, 1, in_channels).kept_by
    own, parts = own_parameters(model), dict(model.named_modules())
    names = [*shapes, *(name for name in own if name not in shapes)]
    found = [
        LayerCost(
            name,
            type(parts[name]).__name__,
            own.get(name, 0),
            counter.by.get(name, 0),
            shapes.get(name, ()),
            kept.get(name, 0),
        )
        for name in names
    ]
    return [layer for layer in found if layer.parameters or layer.multiply_adds or layer.kept]


def own_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters of each module without those of its parts, each once."""
    own: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0]
        own[module] = own.get(module, 0) + parameter.numel()
    return own
