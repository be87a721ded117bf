"""What learning changes: a network's weights, their moving average, and the optimiser. It knows no data and no time."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.train.bf16 import spare_dilated_depthwise
from perpixel.train.checkpoint import optimiser_tensors, restore_optimiser
from perpixel.train.optimise import MovingAverage, make_optimiser
from perpixel.train.recipe import Recipe
from perpixel.train.strided_pointwise import spare_strided_pointwise
from perpixel.train.sync_norm import synchronise


class State:
    """A network in training on this process's device.

    Args:
        network: is moved there; its own `forward` is what learns.
        recipe: the optimiser, memory format and compilation.
        accelerator: device, precision, other processes.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, accelerator: Accelerator) -> None:
        self.accelerator, self.how = accelerator, recipe.optimiser
        network = network.to(accelerator.device)
        if accelerator.device.type == "cpu":
            spare_strided_pointwise(network)
            if accelerator.mixed_precision == "bf16":
                spare_dilated_depthwise(network)
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if accelerator.num_processes > 1:
            network = synchronise(network, accelerator.device)
        optimiser = make_optimiser(network, self.how)
        self.average = MovingAverage(network, self.how.ema) if self.how.ema else None
        self.network = network
        self.forward, self.optimiser = accelerator.prepare(
            torch.compile(network) if recipe.compile else network, optimiser
        )

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """What is judged and kept: the averaged weights, or the last ones where nothing is averaged."""
        return self.average.state_dict() if self.average else self.network.state_dict()

    def step(self, loss: Callable[[], Tensor], parts: int, lr: float, number: int) -> float:
        """One optimiser step; the mean loss of its parts.

        Args:
            loss: draws a batch, goes `forward`, and returns a finite scalar; called once for each part.
            parts: batches whose mean gradient is followed.
            lr: the rate, which each group of parameters multiplies by its factor.
            number: of the step, counted from 0.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        self.forward.train()
        total = 0.0
        for part in range(parts):
            with nullcontext() if part == parts - 1 else self.accelerator.no_sync(self.forward):
                value = loss()
                total += float(value.detach())
                self.accelerator.backward(value / parts)
        if self.how.clip_norm:
            self.accelerator.clip_grad_norm_(self.forward.parameters(), self.how.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.network, number)
        return total / parts

    def tensors(self) -> dict[str, Tensor]:
        """Everything, by name, for a checkpoint; the random state too."""
        found = {f"model.{k}": v for k, v in self.network.state_dict().items()}
        if self.average:
            found |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        return found | optimiser_tensors(self.optimiser) | {"random": torch.random.get_rng_state()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes everything up from `tensors` that another state of the same network gave.

        Raises:
            UserError: another network, or other options of it.
        """
        try:
            self.network.load_state_dict(_under("model.", tensors))
        except RuntimeError as error:
            reason = " ".join(str(error).split("\n", 1)[-1].split())[:160]
            raise UserError(f"the checkpoint is of another network than recipe.yaml says ({reason})") from error
        if self.average:
            device = self.accelerator.device
            self.average.state = {k: v.to(device) for k, v in _under("average.", tensors).items()}
        restore_optimiser(self.optimiser, tensors)
        torch.random.set_rng_state(tensors["random"])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
