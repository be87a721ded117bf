"""What a unit depends on, found without tracing: the gradient of a network made linear, with weights above zero.

Where nothing cancels and nothing is switched off, every pixel of a receptive field has a gradient that is not zero.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

IDENTITY = {"relu", "relu_", "relu6", "gelu", "silu", "hardtanh", "hardswish", "leaky_relu", "elu"}


class Linear(TorchFunctionMode):
    """Activations become the identity, maxima become means."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in IDENTITY:
            return args[0]
        if name == "max_pool2d":
            return mean_pool(*args, **kwargs)
        if name == "max" and ("dim" in kwargs or len(args) > 1):
            return args[0].mean(*args[1:], **kwargs), func(*args, **kwargs)[1]
        if name == "amax":
            return args[0].mean(*args[1:], **kwargs)
        return func(*args, **kwargs)


def mean_pool(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, **rest: Any
) -> Tensor:
    assert dilation in (1, (1, 1), [1, 1])
    rest.pop("return_indices", None)
    return F.avg_pool2d(x, kernel_size, stride, padding, **rest)


@contextmanager
def linear(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, networks are linear as far as that goes; an unpooling fills the whole window."""
    from perpixel.models import deconvnet, decouplednet, segnet

    def pool(x: Tensor, *, packed: bool) -> tuple[Tensor, Tensor]:
        return F.avg_pool2d(x, 2, 2, ceil_mode=True), x.new_zeros(1)

    def unpool(values: Tensor, kept: Tensor, size: tuple[int, int]) -> Tensor:
        return values.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., : size[0], : size[1]]

    with monkeypatch.context() as patch, Linear():
        for module in (deconvnet, decouplednet, segnet):
            for name, mine in (("max_pool", pool), ("max_unpool", unpool)):
                if hasattr(module, name):
                    patch.setattr(module, name, mine)
        yield


@torch.no_grad()
def above_zero(model: nn.Module) -> nn.Module:
    """The model in double precision and in eval, every weight between 0.5 and 1 over the number of its inputs."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        inputs = parameter[0].numel() if parameter.dim() > 1 else 1
        parameter.copy_((0.5 + torch.rand(parameter.shape, generator=generator) / 2) / inputs)
    return model.double().eval()


def extent(seen: Tensor) -> tuple[int, int]:
    """The first and the last place that is true."""
    places = seen.nonzero()
    return int(places.min()), int(places.max())


def gradient_box(unit: Tensor, image: Tensor) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the pixels by which one number has a gradient."""
    (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
    seen = gradient[0].abs().amax(dim=0) > 0
    return *extent(seen.any(dim=1)), *extent(seen.any(dim=0))
