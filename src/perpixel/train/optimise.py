"""Optimisers, learning-rate schedules, and the moving average of the weights."""

import math

import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.train.muon import Muon
from perpixel.train.recipe import OptimiserPart


def make_optimiser(model: nn.Module, how: OptimiserPart) -> torch.optim.Optimizer:
    """AdamW, Adam, SGD or Muon over the trainable parameters, in groups that differ in decay and in "factor", of the rate.

    Raises:
        UserError: head_lr for a network whose `backbone_names` declare none.
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decayed = how.decay == "all" or parameter.ndim > 1
            groups.setdefault((not decayed, _factor(model, name, how)), []).append(parameter)
    if how.head_lr != 1 and not any(_in_backbone(model, name) for name, _ in model.named_parameters()):
        raise UserError(f"optimiser.head_lr {how.head_lr:g}: this network declares no backbone; use 1")
    described = [
        {"params": parameters, "weight_decay": 0.0 if free else how.weight_decay, "factor": factor}
        for (free, factor), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    if how.name == "sgd":
        return torch.optim.SGD(described, how.lr, momentum=how.momentum)
    if how.name == "muon":
        return Muon(described, how.lr)
    kind = torch.optim.AdamW if how.name == "adamw" else torch.optim.Adam
    return kind(described, how.lr)


def _factor(model: nn.Module, name: str, how: OptimiserPart) -> float:
    """What a parameter's rate is multiplied by."""
    owner, _, last = name.rpartition(".")
    layer = model.get_submodule(owner)
    bias = last == "bias" and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    return (how.bias_lr if bias else 1.0) * (1.0 if _in_backbone(model, name) else how.head_lr)


def _in_backbone(model: nn.Module, name: str) -> bool:
    return any(name.startswith(f"{part}.") for part in getattr(model, "backbone_names", ()))


def learning_rate(step: float, steps: float, how: OptimiserPart) -> float:
    """The rate of a step counted from 0, a pure function, so that a resumed run has the uninterrupted one's.

    poly is lr (1 - t)^power, cosine lr (1 + cos(pi t)) / 2, one_cycle a cosine from lr / 25 up over the first 30 % and down to
    lr / 10^4 (Smith 2018), constant lr, step lr gamma^(milestones that t has reached); t is the share of steps done. All but
    one_cycle rise linearly over `warmup` first.
    """
    t = step / max(1, steps)
    if how.schedule == "one_cycle":
        return _one_cycle(t, how.lr)
    warmup = how.warmup * steps
    rise = min(1.0, (step + 1) / warmup) if warmup >= 1 else 1.0
    fall = {
        "poly": (1 - t) ** how.power,
        "cosine": (1 + math.cos(math.pi * t)) / 2,
        "constant": 1.0,
        "step": how.gamma ** sum(t >= m for m in how.milestones),
    }[how.schedule]
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
