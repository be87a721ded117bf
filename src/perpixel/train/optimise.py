"""Optimisers, learning-rate schedules, and the moving average of the weights."""

import math

import torch
from torch import Tensor, nn

from perpixel.train.recipe import OptimiserPart


def make_optimiser(model: nn.Module, how: OptimiserPart) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD over the trainable parameters; vectors (biases, norms) are not decayed."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": how.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if how.name == "sgd":
        return torch.optim.SGD(groups, how.lr, momentum=how.momentum)
    kind = torch.optim.AdamW if how.name == "adamw" else torch.optim.Adam
    return kind(groups, how.lr)


def learning_rate(step: int, steps: int, how: OptimiserPart) -> float:
    """The rate of a step counted from 0, a pure function, so that a resumed run has the uninterrupted one's.

    poly is lr (1 - t)^power, cosine lr (1 + cos(pi t)) / 2, one_cycle a cosine from lr / 25 up over the first 30 % and down to
    lr / 10^4 (Smith 2018), constant lr; t is the share of steps done. All but one_cycle rise linearly over `warmup` first.
    """
    t = step / max(1, steps)
    if how.schedule == "one_cycle":
        return _one_cycle(t, how.lr)
    warmup = how.warmup * steps
    rise = min(1.0, (step + 1) / warmup) if warmup >= 1 else 1.0
    fall = {"poly": (1 - t) ** how.power, "cosine": (1 + math.cos(math.pi * t)) / 2, "constant": 1.0}[how.schedule]
    return how.lr * rise * fall


def _one_cycle(t: float, lr: float) -> float:
    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    return between(lr / 25, lr, t / 0.3) if t < 0.3 else between(lr, lr / 1e4, (t - 0.3) / 0.7)


class MovingAverage:
    """An exponential moving average of a model's weights and buffers; whole numbers are copied.

    The decay of update n is min(decay, (1 + n) / (10 + n)), so that early weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = model.state_dict()
        floats = [k for k, v in self.state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.state[k] for k in floats], [now[k] for k in floats], 1 - decay)
        for k in self.state.keys() - set(floats):
            self.state[k].copy_(now[k])

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged state."""
        return self.state
