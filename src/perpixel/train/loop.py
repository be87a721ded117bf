"""The training loop: short, visible, resumable at any step.

    batches -> network -> loss -> step; now and then: judge, keep the best, save a checkpoint

What is learned is an `objective`; what learning changes is the `state`; how long it goes is a `length`.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from perpixel.core.errors import Interrupted, UserError
from perpixel.core.reporter import Reporter, clock
from perpixel.train.checkpoint import Checkpoint
from perpixel.train.length import Length
from perpixel.train.objective import Figures, Objective, Place
from perpixel.train.optimise import learning_rate
from perpixel.train.progress import Progress
from perpixel.train.recipe import Recipe
from perpixel.train.run_folder import RunFolder
from perpixel.train.state import State
from perpixel.train.stop import Stop, Stoppable


class Loop:
    """One objective, from where `progress` is to the end of its length.

    Args:
        objective: what is learned.
        recipe: batch size, accumulation, learning rate, minutes between checkpoints.
        state: the network and optimiser in training.
        progress: the counters, changed from step to step.
        length: when it is judged, and when it ends.
        folder: where checkpoints and bundles go; None keeps nothing and judges nothing.
        stop: whether somebody asked to stop.
        report: who is told.
    """

    def __init__(
        self,
        objective: Objective[Any, Any],
        recipe: Recipe,
        state: State,
        progress: Progress,
        length: Length,
        folder: RunFolder | None,
        stop: Stop,
        report: Reporter,
    ) -> None:
        self.objective, self.recipe, self.state, self.progress, self.length = objective, recipe, state, progress, length
        self.folder, self.stop, self.report = folder, stop, report
        a = state.accelerator
        self.place = Place(a.device, a.process_index, a.num_processes)
        self.images = recipe.batch_size * recipe.accumulate * a.num_processes  # a step
        self.steps_per_epoch = objective.samples / self.images
        self.began, self.clock_before = time.monotonic(), progress.clock
        if objective.tally:
            objective.tally.restore(progress.sums)

    def go(self) -> None:
        """Trains to the end.

        Raises:
            UserError: a sample cannot be read, or the loss became non-finite.
            Interrupted: a stop was asked for; `save` keeps what there is.
        """
        p, parts, saved = self.progress, self.recipe.accumulate, time.monotonic()
        stream = self.objective.batches(p.step * parts, self.length.last * parts, self.place)
        while True:
            self.look_up()
            if self.length.due(p) and p.evaluated != p.step:
                self._judge()
                self.save()
                saved = time.monotonic()
            if self.length.done(p):
                return
            lr = learning_rate(*self.length.place(p), self.recipe.optimiser)
            before = time.monotonic()
            loss = self.state.step(lambda: self._loss(stream), parts, lr, p.step)
            p.took(loss, time.monotonic() - before)
            self._tell(loss, lr)
            if time.monotonic() - saved > self.recipe.checkpoint_minutes * 60:
                self.save()
                saved = time.monotonic()

    def save(self) -> None:
        """Writes a checkpoint to go on from, and the history."""
        if self.objective.tally:
            self.progress.sums = self.objective.tally.sums()
        if self.folder:
            self.folder.save(Checkpoint(self.state.tensors(), vars(self.progress)))

    def _loss(self, stream: Iterator[Any]) -> Tensor:
        batch = next(stream)
        inputs = self.objective.inputs(batch, self.place.device)
        output = self.state.forward(*inputs)
        loss = self.objective.loss(output, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(
                f"the loss became {value} at step {self.progress.step + 1}, on {', '.join(batch.names)}; "
                f"{self._cure(inputs[0], batch.names)}; the last checkpoint is whole"
            )
        return loss

    def _cure(self, image: Tensor, names: Sequence[str]) -> str:
        """What helps against a loss that is not finite, of an input (B, C, H, W): batch norms make gradients of one colour endless."""
        flat = {n for x, n in zip(image, names, strict=False) if bool((x == x[..., :1, :1]).all())}
        rate = f"lower the learning rate (now {self.recipe.optimiser.lr:g})"
        if not flat:
            return rate
        return (
            f"of one single colour there: {', '.join(sorted(flat))}; remove such images, or if they are meant, {rate}"
        )

    def look_up(self) -> None:
        """Reads the clock, and raises `Interrupted` when any process was told to stop; all processes look together."""
        p, asked = self.progress, self.stop.asked
        p.clock = self.clock_before + time.monotonic() - self.began
        if self.place.world > 1:
            told = torch.tensor([float(asked), p.clock * (self.place.rank == 0)], dtype=torch.float64)
            told = self.state.accelerator.reduce(told.to(self.place.device), reduction="sum").cpu()
            asked, p.clock = bool(told[0]), float(told[1])
        if asked:
            raise Interrupted

    def _judge(self) -> None:
        """The main process judges; the others wait for it where all look up together."""
        p, before = self.progress, time.monotonic()
        if self.folder and self.place.rank == 0 and self.objective.judged:
            with suppress(Interrupted):  # not before the others are there to be told
                predictor = self.objective.predictor(self.state.weights, self.place.device)
                figures = self.objective.judge(predictor, Stoppable(self.stop))
                self._tell_figures(figures, time.monotonic() - before)
                if figures.score > p.best:
                    p.best = figures.score
                    self.objective.keep(self.folder.path, predictor, self.training(), figures.metrics)
        self.look_up()
        p.evaluated, p.judged_at = p.step, p.clock

    def training(self) -> dict[str, Any]:
        """What a bundle says of its training."""
        p = self.progress
        of = {"steps": p.steps} if p.steps else {}
        return {"step": p.step, **of, "epochs": self._epochs(), "seconds": p.seconds}

    def _epochs(self) -> float:
        return self.progress.step / self.steps_per_epoch

    def _tell(self, loss: float, lr: float) -> None:
        p = self.progress
        p.clock = self.clock_before + time.monotonic() - self.began
        rate = (p.before + p.step) * self.images / max(p.seconds, 1e-9)
        of = round(self.length.place(p)[1])
        left = clock(self.length.left(p))
        self.report.step(p.step, max(of, p.step), f"loss {loss:.3f}  lr {lr:.1e}  {rate:.1f} images/s  {left} left")
        if self.length.row_due(p):
            stage = {"stage": self.objective.name} if self.objective.name else {}
            shares = self.objective.tally.columns() if self.objective.tally else {}
            row = p.add_row(epoch=round(self._epochs(), 4), lr=lr, images_per_second=round(rate, 2), **stage, **shares)
            if self.recipe.trackers:
                self.state.accelerator.log({k: v for k, v in row.items() if k != "step"}, step=row["step"])

    def _tell_figures(self, figures: Figures, seconds: float) -> None:
        p = self.progress
        row = p.rows[-1]
        row.update(figures.row)
        best = ", best" if figures.score > p.best else ""
        of = f"/{p.steps}" if p.steps else f", {clock(p.clock)}"
        self.report.line(
            f"step {p.step}{of}  loss {row['loss']:.3f}  {figures.text}  {row['images_per_second']:.1f} images/s"
            f"  (evaluated in {seconds:.0f} s{best})"
        )
        for remark in figures.remarks:
            self.report.line(f"          {remark}")
