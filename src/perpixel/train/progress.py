"""How far a run is: what changes from step to step, all of it saved in a checkpoint."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from perpixel.core.files import write_text

COLUMNS = ("step", "epoch", "loss", "lr", "images_per_second", "seconds")
"""What history.csv has of every run; an objective adds the figures that it is judged by."""


@dataclass
class Progress:
    """Counters of the stage that is under way, and the rows of history.csv.

    Args:
        stage: which of the run's objectives, counted from 0.
        before: steps of the stages before this one.
        step: steps of this stage.
        steps: how many it will have; 0 while that is not known.
        evaluated: the step that was judged last.
        best: the best score of this stage.
        seconds: spent in steps, over all stages.
        clock: seconds spent in this stage, with evaluations.
        judged_at, row_at: what the clock showed at the last evaluation, and at the last row.
        sums: of the objective's tally since the last row.
        budget, once: of a stage by the clock, its seconds in all, and what an evaluation was expected to take of them.
    """

    stage: int = 0
    before: int = 0
    step: int = 0
    steps: int = 0
    evaluated: int = 0
    best: float = -1.0
    seconds: float = 0.0
    clock: float = 0.0
    judged_at: float = 0.0
    row_at: float = 0.0
    budget: float = 0.0
    once: float = 0.0
    sums: list[list[float]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """From a checkpoint's state; what an earlier version did not write has its default."""
        return cls(**{f.name: state[f.name] for f in fields(cls) if f.name in state})

    def took(self, loss: float, seconds: float) -> None:
        """Counts a step."""
        self.step += 1
        self.seconds += seconds
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1

    def add_row(self, **figures: Any) -> dict[str, Any]:
        """A row of the history, with the mean loss since the last one."""
        row = {"step": self.before + self.step, "loss": self.loss_sum / self.loss_count, **figures}
        self.rows.append({**row, "seconds": round(self.seconds, 2)})
        self.loss_sum, self.loss_count, self.row_at = 0.0, 0, self.clock
        return self.rows[-1]

    def next_stage(self) -> "Progress":
        """The counters of the stage after this one; time and rows go on."""
        return Progress(
            stage=self.stage + 1, before=self.before + self.step, seconds=self.seconds, rows=list(self.rows)
        )


def write_history(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the rows as CSV: the usual columns first, then all others that a row has."""
    columns = dict.fromkeys([*COLUMNS, *(key for row in rows for key in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())
