"""A forward pass without values: on PyTorch's "meta" device tensors have shapes, and nothing is computed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from perpixel.core import Size
from perpixel.core.errors import UserError


def weights_without_values(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, on the meta device."""
    return {name: t.detach().to("meta") for name, t in [*model.named_parameters(), *model.named_buffers()]}


def dry_run(model: nn.Module, image: Tensor, in_eval: bool = True, weights: dict[str, Tensor] | None = None) -> Any:
    """What the model returns for an image on the meta device, such as `blank(size)`; the model itself stays put.

    Args:
        in_eval: False leaves its parts in the modes in which they are.
        weights: from `weights_without_values`, where somebody wants to know them.

    Raises:
        UserError: it decides by the values of its maps, which have none here, or cannot take this size.
    """
    weights = weights_without_values(model) if weights is None else weights
    with torch.no_grad(), eval_mode(model, in_eval):
        try:
            return functional_call(model, weights, (image,))
        except (NotImplementedError, RuntimeError) as error:
            raise refusal(model, error) from error


def refusal(model: nn.Module, error: Exception) -> UserError:
    """What to say of a model that does not run."""
    reason = " ".join(str(error).split())[:120]
    return UserError(f"{type(model).__name__} cannot run without values ({reason}): not counted")


def blank(model: nn.Module, size: Size, in_channels: int, batch: int = 1) -> Tensor:
    """`(batch, in_channels, *size)` without values, of the number type that the model computes in."""
    return torch.empty(batch, in_channels, *size, dtype=kind(model), device="meta")


def kind(model: nn.Module) -> torch.dtype:
    """The number type of a model's first weights."""
    return next((t.dtype for t in model.parameters() if t.is_floating_point()), torch.float32)


@contextmanager
def eval_mode(model: nn.Module, on: bool = True) -> Iterator[None]:
    """Within, the model is in eval, if `on`; afterwards each of its parts is in the mode in which it was."""
    training = [m for m in model.modules() if m.training] if on else []
    if on:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def watched(
    model: nn.Module, enter: Callable[[str, nn.Module], None], leave: Callable[[str, Any], None]
) -> Iterator[None]:
    """Within, `enter(name, module)` is called before each module runs, and `leave(name, output)` after it."""
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            before = module.register_forward_pre_hook(lambda m, _, n=name: enter(n, m))
            after = module.register_forward_hook(lambda _m, _i, output, n=name: leave(n, output))
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        yield


def named_tensors(name: str, output: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of what a module returned, each with its name: "name[key]", and of the network itself the key alone."""
    if isinstance(output, Tensor):
        yield name, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from named_tensors(f"{name}[{key}]" if name else str(key), value)
    elif isinstance(output, (list, tuple)):
        for index, value in enumerate(output):
            yield from named_tensors(f"{name}[{index}]", value)
