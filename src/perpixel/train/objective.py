"""What is learned. The loop knows steps, devices, checkpoints and time; an objective knows data, loss and figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from perpixel.core.reporter import Reporter
from perpixel.train.recipe import Recipe


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this one is, and where it computes."""

    device: torch.device
    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class Figures:
    """How good a model is.

    Args:
        score: by which the best is kept; higher is better, -1 is less than any.
        row: columns of history.csv, such as {"val_mean_iou": 0.6}.
        metrics: what the bundle says.
        text: the figures in a few words.
        remarks: lines that a person should read, such as classes that were never predicted.
    """

    score: float
    row: Mapping[str, float]
    metrics: Mapping[str, Any]
    text: str
    remarks: tuple[str, ...] = ()


class Batch(Protocol):
    """Whatever an objective draws; the names of its samples are told where a loss is no number."""

    @property
    def names(self) -> tuple[str, ...]: ...


class Tally(Protocol):
    """What an objective sums up over the steps between two rows of the history."""

    def sums(self) -> list[list[float]]:
        """As they are, for a checkpoint."""

    def restore(self, sums: Sequence[Sequence[float]]) -> None:
        """Goes on from them."""

    def columns(self) -> Mapping[str, float]:
        """Columns of a row; it begins anew."""


B = TypeVar("B", bound=Batch)
P = TypeVar("P")


class Objective(Protocol[B, P]):
    """One thing to learn, of batches B, judged as a predictor P.

    Attributes:
        name: in a word, for the history of a run that has several objectives.
        network: what learns; `forward(*inputs(batch))` returns a dict of tensors.
        samples: how many make an epoch.
        judged: how many things `judge` looks at; 0 where there is nothing to judge by.
        tally: what it sums up for the history, or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def network(self) -> nn.Module: ...
    @property
    def samples(self) -> int: ...
    @property
    def judged(self) -> int: ...
    @property
    def tally(self) -> Tally | None: ...

    def batches(self, first: int, last: int, place: Place) -> Iterator[B]:
        """The batches `first` to `last` - 1 of this process, a pure function of the seed and their numbers."""

    def inputs(self, batch: B, device: torch.device) -> tuple[Tensor, ...]:
        """What the network takes."""

    def loss(self, output: dict[str, Tensor], batch: B) -> Tensor:
        """A scalar to descend, of what the network returned."""

    def predictor(self, weights: Mapping[str, Tensor], device: torch.device) -> P:
        """The network with these weights, apart from the one in training."""

    def judge(self, predictor: P, report: Reporter, most: int | None = None) -> Figures:
        """Figures over all that is judged, or the first `most`; `report` is told each and may raise to stop."""

    def keep(self, run: Path, predictor: P, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """Writes the bundle into the run's folder, over an earlier one; returns where."""


@dataclass(frozen=True)
class Stage:
    """One objective of a run.

    Args:
        make: the objective, made when its turn comes: with the network as the stages before left it.
        recipe: its optimiser, batch size and length.
        minutes: its length by the clock; None goes by the recipe's steps or epochs.
    """

    make: Callable[[], Objective[Any, Any]]
    recipe: Recipe
    minutes: float | None = None


@dataclass(frozen=True)
class Job:
    """What a recipe comes down to when the data was looked at.

    Args:
        recipe: with everything that it left open filled in.
        network: into which weights to start from go.
        stages: one after the other.
        lines: to tell the user before the first step.
        data: what is known of the data, plain for JSON: the run's folder keeps it, so that going on needs no second look.
    """

    recipe: Recipe
    network: nn.Module
    stages: tuple[Stage, ...]
    lines: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
