"""Muon: momentum whose matrices are made orthogonal before they move the weights; vectors go by AdamW.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the length of a step as in Liu et al., "Muon is
Scalable for LLM Training", 2025, arXiv:2502.16982: root mean square 0.2, about AdamW's, so that AdamW's learning rates serve.

PyTorch's and timm's optimisers of this name orthogonalise in bf16, which a processor without bf16 emulates: their step can cost
more than the network's (benchmarks/realtime.md). This one stays in the weights' own precision and takes matrices of one
shape together.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""a, b, c of a x + b x^3 + c x^5, which drives singular values toward 1 (Jordan et al.)."""

ITERATIONS = 5
RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Convolutions and linear layers by Muon, everything else by AdamW.

    A convolution's weight (out, in, h, w) counts as a matrix (out, in h w). Depthwise convolutions, whose rows have nothing
    to do with each other, biases and norms go by AdamW.

    Args:
        params: parameters or groups of them; a group's own lr and weight_decay count.
        lr: learning rate of the matrices.
        weight_decay: times lr, what a step takes off a weight.
        momentum: of the matrices, with Nesterov's look ahead.
        vector_lr: what lr is multiplied by for everything that goes by AdamW.
        betas, eps: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        vector_lr: float = 0.5,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "vector_lr": vector_lr}
        super().__init__(params, {**defaults, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            self._step_matrices([p for p in moved if is_matrix(p)], group)
            for p in moved:
                if not is_matrix(p):
                    self._step_vector(p, group)
        return loss

    def _step_matrices(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        alike: dict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
        for p in matrices:
            alike[p.device, p.shape[0], p.shape[1:].numel()].append(p)
        for same in alike.values():
            directions = orthogonal(torch.stack([self._direction(p, group["momentum"]).flatten(1) for p in same]))
            length = RMS * max(directions.shape[1:]) ** 0.5
            for p, direction in zip(same, directions, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(direction.view(p.shape), alpha=-group["lr"] * length)

    def _direction(self, p: Tensor, momentum: float) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        assert p.grad is not None
        mean: Tensor = state["momentum"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(mean, momentum)

    def _step_vector(self, p: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2), lr = self.state[p], group["betas"], group["lr"] * group["vector_lr"]
        if not state:
            state.update(step=torch.tensor(0.0), mean=torch.zeros_like(p), square=torch.zeros_like(p))
        assert p.grad is not None
        state["step"] += 1
        n = float(state["step"])
        state["mean"].lerp_(p.grad, 1 - beta1)
        state["square"].lerp_(p.grad.square(), 1 - beta2)
        p.mul_(1 - lr * group["weight_decay"])
        scale = (state["square"] / (1 - beta2**n)).sqrt_().add_(group["eps"])
        p.addcdiv_(state["mean"], scale, value=-lr / (1 - beta1**n))


def is_matrix(p: Tensor) -> bool:
    """Whether rows and columns are more than one: weights of linear layers and of all but depthwise convolutions."""
    return p.ndim > 1 and p.shape[0] > 1 and p.shape[1] > 1


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, rows, columns) float to the same, each with its singular vectors and singular values near 1 (0.7 to 1.2).

    >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 2.0, 1.0]))[None]))
    >>> [f"{v:.2f}" for v in values[0]]
    ['1.12', '0.70', '0.68']
    """
    a, b, c = POLYNOMIAL
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
