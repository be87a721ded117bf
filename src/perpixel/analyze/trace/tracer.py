"""Following a network's operators as it runs.

They are a small closed set below modules and functions, so that any `nn.Module` is followed, whatever it calls. Each
result gets its `Boxes` by the operator's rule; one without a rule is taken to read everything that it is given, and is
noted. Nothing is computed: tensors lie on the "meta" device. A network that decides by the values of its maps is run
with those of one random image instead.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its deformable convolution with torch.ops)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from perpixel.analyze.dry_run import (
    blank,
    dry_run,
    eval_mode,
    kind,
    named_tensors,
    watched,
    weights_without_values,
)
from perpixel.analyze.trace.bounds import TooLargeError
from perpixel.analyze.trace.boxes import Boxes, image_boxes
from perpixel.analyze.trace.calls import Call, Rule
from perpixel.analyze.trace.moves import assumed, put_back
from perpixel.analyze.trace.rules import rule_of
from perpixel.core import Size
from perpixel.core.errors import UserError

MOST_CONSTANTS = 2**24
"""A constant of more elements is not computed."""


@dataclass(frozen=True)
class Trace:
    """What following a network gave.

    size: (H, W) of the image.
    outputs: the boxes of every tensor that a module returned, by the module's name, in order of first call, a list entry
        for each call; None where nothing depends on the image. An entry of a tuple, list or dict is "name[key]"; what
        the network itself returns has its key alone, such as "logits", or "" for a tensor.
    by_values: whether decisions were followed as one random image made them.
    """

    size: Size
    outputs: dict[str, list[Boxes | None]]
    by_values: bool


@dataclass(frozen=True)
class View:
    """A tensor that shares memory with another one: output `index` of a call on it."""

    base: Tensor
    call: Call
    rule: Rule
    index: int


@dataclass(frozen=True)
class Known:
    """What is known of a tensor, and after how many writes that was."""

    boxes: Boxes | None
    writes: int


class Tracer(TorchDispatchMode):
    """Keeps the boxes of all tensors while it is on.

    A tensor that is a view of another one has its boxes worked out from the other's whenever something was written; what
    is written to it goes on to the other.
    """

    def __init__(self, model: nn.Module, constants: Mapping[Tensor, Tensor]) -> None:
        super().__init__()
        self.known: Any = WeakIdKeyDictionary()
        self.views: Any = WeakIdKeyDictionary()
        self.recipes: Any = WeakIdKeyDictionary(constants)
        self.writes = 0
        self.place: list[tuple[str, nn.Module]] = [("", model)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        outputs = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        if outputs:
            self.note(func, args, kwargs or {}, outputs)
        return result

    def note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Tensor]) -> None:
        """Takes what an operator returned into account."""
        schema = func._schema
        names = [argument.name for argument in schema.arguments]
        values = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        values |= dict(zip(names, args, strict=False)) | kwargs
        written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        name = schema.name.removeprefix("aten::").removesuffix("_" * bool(written))
        where, module = self.place[-1]
        call = Call(name, func, values, outputs, self.boxes_of, self.constant_of, module, where)
        rule = rule_of(name, func)
        if any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns):
            self.keep_views(call, rule)
        elif written and all(r.alias_info is not None for r in schema.returns):
            for argument, boxes in zip(written, self.apply(rule, call), strict=False):
                if isinstance(values[argument], Tensor):
                    self.write(values[argument], boxes)
        else:
            for output, boxes in zip(outputs, self.apply(rule, call), strict=True):
                self.known[output] = Known(boxes, self.writes)
            if not call.read and torch.Tag.nondeterministic_seeded not in func.tags:
                self.recipes.update({output: (func, args, kwargs, i) for i, output in enumerate(outputs)})

    def keep_views(self, call: Call, rule: Rule) -> None:
        base = next(v for v in call.values.values() if isinstance(v, Tensor))
        for index, output in enumerate(call.outputs):
            if output is not base:
                self.views[output] = View(base, call, rule, index)

    def apply(self, rule: Rule, call: Call) -> list[Boxes | None]:
        """The boxes of each output, by the rule."""
        if not call.read or not any(output.numel() for output in call.outputs):
            return [None] * len(call.outputs)
        try:
            found = rule(call)
        except TooLargeError:
            found = assumed(call)
        listed = [found] * len(call.outputs) if found is None or isinstance(found, Boxes) else list(found)
        listed = [boxes if output.numel() else None for boxes, output in zip(listed, call.outputs, strict=True)]
        for boxes, output in zip(listed, call.outputs, strict=True):
            assert boxes is None or boxes.shape == tuple(output.shape), (call.name, boxes.shape, output.shape)
        return listed

    def boxes_of(self, tensor: Tensor) -> Boxes | None:
        """What a tensor's elements depend on; None where that is nothing."""
        known, view = self.known.get(tensor), self.views.get(tensor)
        if view is None:
            return known and known.boxes
        if known is None or known.writes != self.writes:
            base = self.boxes_of(view.base)
            known = Known(base and self.apply(view.rule, view.call)[view.index], self.writes)
            self.known[tensor] = known
        return known.boxes

    def write(self, tensor: Tensor, boxes: Boxes | None) -> None:
        """The tensor was overwritten; so was what it is a view of."""
        old, view = self.boxes_of(tensor), self.views.get(tensor)
        self.recipes[tensor] = None
        if view is not None:
            self.write(view.base, put_back(view.call, view.base, view.index, self.boxes_of(view.base), boxes))
        elif boxes is not old:
            self.writes += 1
            self.known[tensor] = Known(boxes, self.writes)

    def constant_of(self, tensor: Tensor) -> Tensor | None:
        """The values of a tensor that does not depend on the image, on the CPU; None where they cannot be known."""
        if not tensor.is_meta:
            return tensor
        view = self.views.get(tensor)
        if view is not None:
            base = self.constant_of(view.base)
            arguments = {n: base if v is view.base else v for n, v in view.call.values.items()}
            return None if base is None else tree_leaves(view.call.operator(**arguments))[view.index]
        recipe = self.recipes.get(tensor)
        if recipe is None or isinstance(recipe, Tensor):
            return recipe
        return self.cook(*recipe) if tensor.numel() <= MOST_CONSTANTS else None

    def cook(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], index: int) -> Tensor | None:
        """A constant, made once more with values."""
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if any(self.constant_of(t) is None for t in inputs):
            return None
        args, kwargs = tree_map_only(Tensor, self.constant_of, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs = kwargs | {"device": torch.device("cpu")}
        return tree_leaves(func(*args, **kwargs))[index]


def trace(model: nn.Module, size: Size, in_channels: int = 3, in_eval: bool = True) -> Trace:
    """Follows the model for one image.

    Args:
        model: on any device; it is left as it is.
        size: (H, W) of the image. Large ones cost hardly more than small ones.
        in_channels: of the image.
        in_eval: False leaves the model's parts in the modes in which they are.

    Raises:
        UserError: the model cannot run on such an image.
    """
    try:
        return without_values(model, size, in_channels, in_eval)
    except UserError as first:
        if any(t.is_meta for t in [*model.parameters(), *model.buffers()]):
            raise
        try:
            return with_values(model, size, in_channels, in_eval)
        except RuntimeError as error:
            raise UserError(f"{first}; nor with them: {' '.join(str(error).split())[:120]}") from error


def without_values(model: nn.Module, size: Size, in_channels: int, in_eval: bool) -> Trace:
    weights = weights_without_values(model)
    real = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tracer = Tracer(model, {t: real[name] for name, t in weights.items() if not real[name].is_meta})
    image = blank(model, size, in_channels)
    tracer.known[image] = Known(image_boxes(in_channels, *size), 0)
    with recording(model, tracer) as outputs, tracer:
        dry_run(model, image, in_eval, weights)
    return Trace(size, outputs, by_values=False)


def with_values(model: nn.Module, size: Size, in_channels: int, in_eval: bool) -> Trace:
    like = next(model.parameters(), torch.zeros(()))
    image = torch.randn(1, in_channels, *size, generator=torch.Generator().manual_seed(0)).to(like.device, kind(model))
    tracer = Tracer(model, {})
    tracer.known[image] = Known(image_boxes(in_channels, *size), 0)
    with torch.no_grad(), eval_mode(model, in_eval), recording(model, tracer) as outputs, tracer:
        model(image)
    return Trace(size, outputs, by_values=True)


@contextmanager
def recording(model: nn.Module, tracer: Tracer) -> Iterator[dict[str, list[Boxes | None]]]:
    """Within, what each module returns is noted, and the tracer knows which is running."""
    outputs: dict[str, list[Boxes | None]] = {}

    def enter(name: str, module: nn.Module) -> None:
        tracer.place.append((name, module))

    def leave(name: str, output: Any) -> None:
        tracer.place.pop()
        for key, tensor in named_tensors(name, output):
            outputs.setdefault(key, []).append(tracer.boxes_of(tensor))

    with watched(model, enter, leave):
        yield outputs
