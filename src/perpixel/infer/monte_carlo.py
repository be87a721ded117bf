"""Monte-Carlo dropout: how sure a network is, from how much its answer changes with what is dropped.

Gal, Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142; for segmentation: Kendall,
Badrinarayanan, Cipolla, "Bayesian SegNet", BMVC 2017, arXiv:1511.02680.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class Sampled(NamedTuple):
    """Of sampled probabilities: `mean` and `variance`, each of their own shape, `(B, K, H, W)` or `(K, H, W)`, in [0, 1]."""

    mean: Tensor
    variance: Tensor

    @property
    def uncertainty(self) -> Tensor:
        """`(B, H, W)` or `(H, W)`: the variance, averaged over the classes."""
        return self.variance.mean(dim=-3)


def monte_carlo(model: nn.Module, image: Tensor, samples: int = 40, seed: int | None = None) -> Sampled:
    """`sample` of the class probabilities of a network for `image`, `(B, C, H, W)`, normalised."""
    with torch.no_grad():
        return sample(model, lambda: model(image)["logits"].softmax(dim=1), samples, seed)


def sample(model: nn.Module, answer: Callable[[], Tensor], samples: int, seed: int | None = None) -> Sampled:
    """Asks for an answer of `model` `samples` times, with dropout on and everything else as in eval.

    The variance is that of the samples themselves: the mean squared distance from their mean, 0 for one sample. It is
    kept as a running sum, so that memory does not grow with `samples`. With a `seed`, the same samples are drawn again
    and the state of PyTorch's generators is left as it was. The model is left in the mode that it was in.

    Raises `UserError` for a network without dropout, and for fewer than 1 sample.
    """
    if samples < 1:
        raise UserError(f"Monte-Carlo dropout needs 1 sample or more; got {samples}")
    moments = RunningMoments()
    with dropout_alone_in_training(model), torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        for _ in range(samples):
            moments.add(answer())
    return Sampled(moments.mean, moments.variance)


class RunningMoments:
    """Mean and variance of tensors of one shape, added one by one (Welford: exact where a variance is near zero)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Takes one more into account."""
        self.count += 1
        away = x - self.mean
        self.mean = self.mean + away / self.count
        self.squares = self.squares + away * (x - self.mean)

    @property
    def variance(self) -> Tensor:
        """The mean squared distance from the mean: 0 for one tensor."""
        return self.squares / self.count


@contextmanager
def dropout_alone_in_training(model: nn.Module) -> Iterator[None]:
    """Within: every dropout is on, everything else in eval. Raises `UserError` for a model that has no dropout."""
    dropouts = [part for part in model.modules() if isinstance(part, DROPOUTS) and part.p > 0]
    if not dropouts:
        raise UserError(
            f"{type(model).__name__} has no dropout to sample. Build one that has: "
            "bayesian_segnet, or a network with an option dropout above 0."
        )
    before = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        for part in dropouts:
            part.train()
        yield
    finally:
        for module, training in before:
            module.training = training
