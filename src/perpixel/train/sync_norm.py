"""Batch norms that see the batches of all processes, so that so many images on two devices train as they do on one."""

from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Lets every batch norm of a network in training use the mean and variance over all processes' batches.

    On GPUs PyTorch's `SyncBatchNorm` takes their place. It has no CPU version: there the modules stay, and compute the same.
    Keys, evaluation and results on one process stay as they are.
    """
    if device.type != "cpu":
        converted: nn.Module = convert_sync_batchnorm(network)
        return converted
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.forward = _OverAll(module)  # type: ignore[method-assign, assignment]
    return network


class _Sum(torch.autograd.Function):
    """A tensor summed over the processes; each one's loss depends on all, so the gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        all_reduce(total)
        return total


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)
    return total


class _OverAll:
    def __init__(self, module: _BatchNorm) -> None:
        self.module, self.alone = module, module.forward

    def __call__(self, x: Tensor) -> Tensor:
        m = self.module
        if not (m.training and m.affine and m.track_running_stats):
            return self.alone(x)
        with torch.autocast(x.device.type, enabled=False):
            y = self.normalised(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)
        for name in ("drop", "act"):  # timm's norms bring their activation along
            y = getattr(m, name, nn.Identity())(y)
        return y

    def normalised(self, x: Tensor) -> Tensor:
        """(B, C, ...) with the mean and the (biased) variance of each channel over all processes taken out."""
        m, axes = self.module, [0, *range(2, x.ndim)]
        count = _sum(x.new_tensor([x.numel() / x.shape[1]]))
        mean = _sum(x.sum(axes)) / count
        shape = (1, -1, *[1] * (x.ndim - 2))
        variance = _sum(((x - mean.view(shape)) ** 2).sum(axes)) / count
        with torch.no_grad():
            self.follow(mean, variance * count / (count - 1).clamp(min=1))
        scale = m.weight * torch.rsqrt(variance + m.eps)
        return (x - mean.view(shape)) * scale.view(shape) + m.bias.view(shape)

    def follow(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics."""
        m = self.module
        assert m.running_mean is not None and m.running_var is not None and m.num_batches_tracked is not None
        m.num_batches_tracked.add_(1)
        share = 1.0 / float(m.num_batches_tracked) if m.momentum is None else m.momentum
        m.running_mean.lerp_(mean, share)
        m.running_var.lerp_(variance, share)
