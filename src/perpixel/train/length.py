"""How long a stage is, and when it is judged: by a number of steps, or by the clock."""

import math
from dataclasses import dataclass
from typing import Protocol

from perpixel.core.reporter import clock
from perpixel.train.progress import Progress
from perpixel.train.recipe import Recipe

EVALUATIONS = 10
ROWS = 200
GUESSED_STEPS = 1000
"""How many steps a stage by the clock may have, until the first one says how long it takes."""


class Length(Protocol):
    """The length of a stage."""

    @property
    def last(self) -> int:
        """A bound on the number of steps."""

    def place(self, p: Progress) -> tuple[float, float]:
        """(steps done, steps in all), for the learning rate."""

    def done(self, p: Progress) -> bool:
        """Whether no step is left."""

    def due(self, p: Progress) -> bool:
        """Whether it is time to judge."""

    def row_due(self, p: Progress) -> bool:
        """Whether it is time for a row of the history."""

    def left(self, p: Progress) -> float:
        """Seconds that the steps that are left take."""


@dataclass(frozen=True)
class BySteps:
    """So many steps, judged every so many and after the last. Anyone can repeat it bit for bit."""

    last: int
    every: int

    def place(self, p: Progress) -> tuple[float, float]:
        return p.step, self.last

    def done(self, p: Progress) -> bool:
        return p.step >= self.last

    def due(self, p: Progress) -> bool:
        return p.step > 0 and (p.step % self.every == 0 or p.step == self.last)

    def row_due(self, p: Progress) -> bool:
        return p.step % max(1, self.last // ROWS) == 0 or self.due(p)

    def left(self, p: Progress) -> float:
        return (self.last - p.step) * p.clock / max(1, p.step)


@dataclass(frozen=True)
class ByClock:
    """So many seconds, evaluations and all: the learning rate falls with time, whatever else the machine does meanwhile.

    Args:
        seconds: of this stage.
        evaluations: how often it is judged.
        reserve: seconds that the last evaluation is expected to take.
    """

    seconds: float
    evaluations: int
    reserve: float
    last: int = 2**40

    def share(self, p: Progress) -> float:
        """How much of the time for steps is over, in [0, 1] and a little more."""
        return p.clock / max(self.seconds - self.reserve, 1e-9)

    def place(self, p: Progress) -> tuple[float, float]:
        share = self.share(p)
        steps = p.step / share if p.step and share else GUESSED_STEPS
        return min(share, 1.0) * steps, steps

    def done(self, p: Progress) -> bool:
        return p.step > 0 and self.share(p) * (1 + 0.5 / p.step) >= 1  # not one that would be over by half

    def due(self, p: Progress) -> bool:
        return self.done(p) or (p.step > 0 and self._passed(p.clock - p.judged_at, self.evaluations))

    def row_due(self, p: Progress) -> bool:
        return not p.rows or self._passed(p.clock - p.row_at, ROWS) or self.due(p)

    def left(self, p: Progress) -> float:
        return max(0.0, self.seconds - self.reserve - p.clock)

    def _passed(self, seconds: float, parts: int) -> bool:
        return seconds >= (self.seconds - self.reserve) / parts


def by_steps(recipe: Recipe, steps_per_epoch: float) -> BySteps:
    """The length that a recipe in epochs or steps gives."""
    last = recipe.steps or max(1, round((recipe.epochs or 50) * steps_per_epoch))
    every = recipe.evaluate_every
    return BySteps(last, max(1, round(every * steps_per_epoch) if every else math.ceil(last / EVALUATIONS)))


def by_clock(seconds: float, once: float) -> ByClock:
    """So many seconds, of which evaluations, each of `once` seconds, take a twentieth unless two take more."""
    evaluations = min(EVALUATIONS, max(2, int(0.05 * seconds / once))) if once else EVALUATIONS
    return ByClock(seconds, evaluations, min(once, seconds / 2))


def words(length: Length, steps_per_epoch: float, judged: bool) -> str:
    """The length and how often it is judged, for a person."""
    if isinstance(length, BySteps):
        said = f"{length.last} steps ({length.last / steps_per_epoch:.1f} epochs)"
        return said + (f", evaluated every {length.every} steps" if judged else "")
    assert isinstance(length, ByClock)
    return f"{clock(length.seconds)} by the clock" + (f", evaluated {length.evaluations} times" if judged else "")
