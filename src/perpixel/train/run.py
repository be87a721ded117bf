"""`train` and `resume`: a recipe becomes a job of one objective or several, and the loop takes them one after the other."""

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from perpixel.bundle import find_bundle
from perpixel.core.errors import Interrupted, UserError
from perpixel.core.memory import keep_freed_memory
from perpixel.core.reporter import Reporter, Silent, clock
from perpixel.labels import Taxonomy
from perpixel.train.checkpoint import Checkpoint
from perpixel.train.devices import make_accelerator
from perpixel.train.initial import start_from
from perpixel.train.length import BySteps, Length, by_clock, by_steps, words
from perpixel.train.loop import Loop
from perpixel.train.objective import Job, Objective, Stage
from perpixel.train.objectives import make_job
from perpixel.train.progress import Progress
from perpixel.train.recipe import Recipe
from perpixel.train.run_folder import RunFolder
from perpixel.train.state import State
from perpixel.train.stop import Heeding, Stop, Stoppable

PROBED = 4
"""How many things are judged to know what an evaluation costs, before a stage by the clock begins."""


@dataclass(frozen=True)
class Trained:
    """Where the run is, its steps, its best score (mean IoU; NaN without a val split), and the seconds spent in steps."""

    run: Path
    steps: int
    best: float
    seconds: float


def train(recipe: Recipe, run: str | Path, report: Reporter | None = None) -> Trained:
    """Trains by a recipe into a new run folder.

    Args:
        recipe: what to do; `recipe.data.path` names the data.
        run: the folder to make; it must not hold a run yet.
        report: where progress is told; nothing by default.

    Raises:
        UserError: the input cannot be used, or the loss became non-finite.
        Interrupted: on Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    RunFolder(Path(run)).refuse_used()
    if recipe.init:
        find_bundle(recipe.init)  # a wrong path is told before the data is read
    return _Run(recipe, Path(run), report or Silent()).go(None)


def resume(run: str | Path, report: Reporter | None = None, data: str | None = None) -> Trained:
    """Goes on with an interrupted run from its newest whole checkpoint, exactly as if it had not been interrupted.

    Args:
        run: the folder of the run.
        report: as for `train`.
        data: where the run's data is now, if it has moved.

    Raises:
        UserError: there is no run, its checkpoints are damaged, or the data is not the run's any more.
        Interrupted: as `train`.
    """
    folder, report = RunFolder(Path(run)), report or Silent()
    recipe = folder.recipe()
    if data is not None:
        recipe = recipe.changed({"data.path": str(Path(data).resolve())})
    checkpoint, note = folder.load()
    if note:
        report.line(note)
    return _Run(recipe, Path(run), report).go(checkpoint)


def fit(objective: Objective[Any, Any], recipe: Recipe, report: Reporter | None = None) -> None:
    """Trains an objective's network in memory: no folder, no checkpoint, no evaluation. For experiments.

    Raises:
        UserError: the loss became non-finite.
    """
    accelerator = make_accelerator(recipe, Path())
    state, stop = State(objective.network, recipe, accelerator), Stop()
    length = by_steps(recipe, objective.samples / (recipe.batch_size * recipe.accumulate))
    Loop(objective, recipe, state, Progress(steps=length.last), length, None, stop, report or Silent()).go()
    objective.network.load_state_dict(state.weights)


class _Run:
    """A run in memory: its stages, one after the other, in one folder."""

    def __init__(self, recipe: Recipe, path: Path, report: Reporter) -> None:
        keep_freed_memory()
        self.began, self.recipe = time.monotonic(), recipe
        self.accelerator = make_accelerator(recipe, path)
        self.folder = RunFolder(path, self.accelerator.is_main_process)
        self.report = report if self.folder.writes else Silent()
        self.stop = Stop()
        self.loop: Loop | None = None

    def go(self, checkpoint: Checkpoint | None) -> Trained:
        with self.folder.claimed(), self.stop.listening():
            try:
                kept = (self.folder.data() or {}) if checkpoint else None
                job = make_job(self.recipe, Heeding(self.report, self.stop), kept)
                for line in job.lines:
                    self.report.line(line)
                if job.recipe.init and not checkpoint:
                    known = job.data.get("facts")
                    classes = Taxonomy.from_dict(known["taxonomy"]) if known else None
                    self.report.line(start_from(job.network, job.recipe.init, classes))
                progress = Progress.of(checkpoint.state) if checkpoint else Progress()
                for index in range(progress.stage, len(job.stages)):
                    self.loop = self._begin(job, index, progress, checkpoint)
                    self.loop.go()
                    self._end(self.loop)
                    progress, checkpoint = progress.next_stage(), None
                if self.loop:
                    self.loop.look_up()  # told to stop in the last save, it does not go on to a report
            except Interrupted:
                self._leave()
                raise
        assert self.loop is not None
        best = self.loop.progress.best if self.loop.objective.judged else math.nan
        where, steps = self.folder.path / "best", progress.before
        self.report.line(f"done      {steps} steps in {clock(progress.seconds)}; the model is {where}")
        return Trained(self.folder.path, steps, best, progress.seconds)

    def _begin(self, job: Job, index: int, progress: Progress, checkpoint: Checkpoint | None) -> Loop:
        stage = job.stages[index]
        objective = stage.make()
        state = State(objective.network, stage.recipe, self.accelerator)
        if checkpoint:
            try:
                state.restore(checkpoint.tensors)
            except UserError as error:
                raise UserError(f"{self.folder.path}: {error}") from error
        length = self._length(stage, objective, state, progress)
        if index == 0 and progress.step == 0:
            self.folder.open(self._settled(job, length, objective), job.data)
        loop = Loop(objective, stage.recipe, state, progress, length, self.folder, self.stop, self.report)
        if progress.step == 0:
            loop.save()  # so that an interrupt at any moment has something to go on from
        precision = self.accelerator.mixed_precision.replace("no", "fp32")
        said = words(length, loop.steps_per_epoch, objective.judged > 0)
        name = f"{objective.name}, " if objective.name else ""
        many = self.accelerator.num_processes
        together = f", {many} processes with batch norms over all of them" if many > 1 else ""
        self.report.line(
            f"run       {self.folder.path}: {name}{said} on {self.accelerator.device} in {precision}{together}"
        )
        return loop

    def _length(self, stage: Stage, objective: Objective[Any, Any], state: State, progress: Progress) -> Length:
        if stage.minutes is None:
            per_step = stage.recipe.batch_size * stage.recipe.accumulate * self.accelerator.num_processes
            length = by_steps(stage.recipe, objective.samples / per_step)
            progress.steps = length.last
            return length
        if not progress.budget:
            once = self._seconds_of_judging(objective, state)
            left = stage.minutes * 60 - (time.monotonic() - self.began if progress.stage == 0 else 0.0)
            progress.budget, progress.once = broadcast_object_list(
                [max(left, 1.0), once]
            )  # every process has its own clock
        return by_clock(progress.budget, progress.once)

    def _seconds_of_judging(self, objective: Objective[Any, Any], state: State) -> float:
        """What an evaluation takes: the median of some things judged one by one, the first of which warms up."""
        if not objective.judged:
            return 0.0
        predictor, times = objective.predictor(state.weights, self.accelerator.device), []
        for _ in range(min(PROBED, objective.judged)):
            before = time.monotonic()
            objective.judge(predictor, Stoppable(self.stop), most=1)
            times.append(time.monotonic() - before)
        return statistics.median(times[1:] or times) * objective.judged

    def _settled(self, job: Job, length: Length, objective: Objective[Any, Any]) -> Recipe:
        """The recipe as the run's folder keeps it: where it goes by steps, so many, judged so often."""
        if not isinstance(length, BySteps) or len(job.stages) > 1:
            return job.recipe
        r = job.recipe
        per_epoch = objective.samples / (r.batch_size * r.accumulate * self.accelerator.num_processes)
        every = r.evaluate_every or length.every / per_epoch
        return r.model_copy(update={"steps": length.last, "epochs": None, "minutes": None, "evaluate_every": every})

    def _end(self, loop: Loop) -> None:
        """What was never judged is kept as it is at its end; what comes next starts from there."""
        objective, weights = loop.objective, loop.state.weights
        if self.folder.writes and not objective.judged:
            predictor = objective.predictor(weights, self.accelerator.device)
            objective.keep(self.folder.path, predictor, loop.training(), {})
        objective.network.load_state_dict(weights)

    def _leave(self) -> None:
        """Saves what an interrupted run goes on from: before its first step, the recipe as it was given."""
        step = 0
        if self.loop:
            self.loop.save()
            step = self.loop.progress.before + self.loop.progress.step
        else:
            self.folder.open(self.recipe)
        self.report.line(f"interrupted at step {step}; go on with: perpixel train --resume {self.folder.path}")
        self.accelerator.wait_for_everyone()  # torchrun ends all processes when the first one is gone
