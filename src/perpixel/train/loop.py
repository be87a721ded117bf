"""The training loop: short, visible, resumable at any step."""

import csv
import io
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, LoggerType, broadcast_object_list
from torch import Tensor

from perpixel.bundle import find_bundle, save_bundle
from perpixel.bundle.network import without_download
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import write_text
from perpixel.core.memory import keep_freed_memory
from perpixel.core.reporter import Reporter, Silent, clock
from perpixel.data.loader import Batch, Stream, batches
from perpixel.infer.evaluate import evaluate
from perpixel.infer.predictor import Predictor
from perpixel.losses import border_weights
from perpixel.models import build
from perpixel.train.bf16 import spare_dilated_depthwise
from perpixel.train.checkpoint import Checkpoint, load_checkpoint, optimiser_tensors, restore_optimiser, save_checkpoint
from perpixel.train.initial import start_from
from perpixel.train.optimise import MovingAverage, learning_rate, make_optimiser
from perpixel.train.recipe import Recipe, load_recipe
from perpixel.train.setup import Plan, computes_in_bf16, environment, make_plan

EVALUATIONS = 10
MEASURED_STEPS = 8
COLUMNS = ("step", "epoch", "loss", "lr", "images_per_second", "seconds", "val_mean_iou", "val_pixel_accuracy")


class Interrupted(Exception):
    """Ctrl-C or SIGTERM; a checkpoint was saved."""


@dataclass
class Progress:
    """What changes from step to step, all of it saved in a checkpoint."""

    step: int = 0
    evaluated: int = 0
    best: float = -1.0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """Where the run is and how good its best evaluation was (NaN without a val split)."""

    run: Path
    steps: int
    best_mean_iou: float
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
    run = Path(run)
    if (run / "recipe.yaml").exists():
        raise UserError(f"{run} holds a run already; go on with --resume {run}, or give another folder by --out")
    if recipe.init:
        find_bundle(recipe.init)  # a wrong path is told before the data is read
    plan = make_plan(recipe)
    note = start_from(plan.model, recipe.init) if recipe.init else ""
    job = _Run(plan, run, report or Silent())
    if note:
        job.report.line(note)
    return job.go()


def resume(run: str | Path, report: Reporter | None = None) -> Trained:
    """Goes on with an interrupted run from its newest whole checkpoint, exactly as if it had not been interrupted.

    Raises:
        UserError: there is no run or no usable checkpoint there.
        Interrupted: as `train`.
    """
    run = Path(run)
    if not (run / "recipe.yaml").is_file():
        raise UserError(f"{run}: no recipe.yaml; --resume takes the folder that a training run has made")
    checkpoint, note = load_checkpoint(run)
    job = _Run(make_plan(load_recipe(run / "recipe.yaml")), run, report or Silent())
    if note:
        job.report.line(note)
    job.restore(checkpoint)
    return job.go()


class _Run:
    """One run in memory. `go` is the loop; the rest is what it calls."""

    def __init__(self, plan: Plan, run: Path, report: Reporter) -> None:
        self.plan, self.recipe, self.folder, self.report = plan, plan.recipe, run, report
        self.started = time.monotonic()
        keep_freed_memory()
        self.accelerator = self._accelerator()
        if not self.accelerator.is_main_process:
            self.report = Silent()
        self.device = self.accelerator.device
        model = plan.model.to(self.device)
        if self.device.type == "cpu" and self.accelerator.mixed_precision == "bf16":
            spare_dilated_depthwise(model)
        if self.recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = make_optimiser(model, self.recipe.optimiser)
        self.average = MovingAverage(model, self.recipe.optimiser.ema) if self.recipe.optimiser.ema else None
        self.bare = model
        self.model, self.optimiser = self.accelerator.prepare(
            torch.compile(model) if self.recipe.compile else model, self.optimiser
        )
        self.loss = plan.loss.to(self.device)
        self.progress = Progress()
        self.steps = self.recipe.steps or 0
        self.stop = False

    def go(self) -> Trained:
        main = self.accelerator.is_main_process
        with self._signals():
            try:
                kept = self.plan.training_set.keep_in_memory()
                if not self.steps:
                    self._decide_steps()
                if self.progress.step == 0:
                    self._open_folder()
                if main:
                    self._say_plan(kept)
                self._steps()
            except Interrupted:
                self._leave()
                raise
        if main:
            self._finish()
        best = self.progress.best if self.plan.val else math.nan
        return Trained(self.folder, self.steps, best, self.progress.seconds)

    def _leave(self) -> None:
        """Saves what an interrupted run goes on from: before its first step, the recipe as it was given."""
        if self.progress.step == 0:
            self._open_folder()
        else:
            self._save()
        self.report.line(f"interrupted at step {self.progress.step}; go on with: perpixel train --resume {self.folder}")
        self.accelerator.wait_for_everyone()  # torchrun ends all processes when the first one is gone

    def _steps(self) -> None:
        p, recipe = self.progress, self.recipe
        every = self._evaluate_every()
        log_every = max(1, self.steps // 200)
        stream = self._batches(p.step, self.steps)
        saved = time.monotonic()
        while True:
            due = p.step and (p.step % every == 0 or p.step == self.steps)
            if due and p.evaluated != p.step:
                self._evaluate()
                self._save()
                saved = time.monotonic()
            if p.step == self.steps:
                return
            self._check_stop()
            lr, began = learning_rate(p.step, self.steps, recipe.optimiser), time.monotonic()
            loss = self._step(stream, lr)
            p.step += 1
            p.loss_sum, p.loss_count = p.loss_sum + loss, p.loss_count + 1
            now = time.monotonic()
            p.seconds += now - began
            self._tell(loss, lr)
            if p.step % log_every == 0 or p.step % every == 0 or p.step == self.steps:
                self._log_row(lr)
            if now - saved > recipe.checkpoint_minutes * 60:
                self._save()
                saved = now

    def _step(self, stream: Iterator[Batch], lr: float) -> float:
        """One optimiser step; returns the mean loss of its batches."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        self.model.train()
        total = 0.0
        for i in range(self.recipe.accumulate):
            last = i == self.recipe.accumulate - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                total += self._backward(next(stream))
        if self.recipe.optimiser.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.optimiser.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.bare, self.progress.step)
        return total / self.recipe.accumulate

    def _backward(self, batch: Batch) -> float:
        image = batch.image.to(self.device, non_blocking=True)
        if self.recipe.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        target = batch.labels.to(self.device, non_blocking=True).long()
        output = self.model(self.plan.preprocessing.normalise(image))
        loss = self.loss(output, target, self._pixel_weights(batch.labels))["loss"]
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(
                f"the loss became {value} at step {self.progress.step + 1}, on {', '.join(batch.names)}; lower the learning rate "
                f"(now {self.recipe.optimiser.lr:g}); the last checkpoint is whole"
            )
        self.accelerator.backward(loss / self.recipe.accumulate)
        return value

    def _pixel_weights(self, labels: Tensor) -> Tensor | None:
        if self.recipe.loss.border_weights is None:
            return None
        w0, sigma = self.recipe.loss.border_weights
        maps = [border_weights(x.numpy(), w0=w0, sigma=sigma, class_balance=False) for x in labels]
        return torch.from_numpy(np.stack(maps)).float().to(self.device)

    def _evaluate(self) -> None:
        """The main process evaluates; the others wait for it where all look for a signal together."""
        if self.accelerator.is_main_process and self.plan.val:
            with suppress(Interrupted):  # not before the others are there to be told
                self._evaluate_here()
        self._check_stop()
        self.progress.evaluated = self.progress.step

    def _evaluate_here(self) -> None:
        """Evaluates the averaged weights on whole images and keeps the best as a bundle."""
        p, predictor, began = self.progress, self._predictor(), time.monotonic()
        stopping = _Stopping(self._check_own_stop)
        measured = evaluate(predictor, self.plan.val, self.plan.taxonomy, ("confusion",), report=stopping)
        confusion = measured.evaluation.confusion
        mean_iou = confusion.mean_iou if not math.isnan(confusion.mean_iou) else 0.0
        p.rows[-1].update(val_mean_iou=mean_iou, val_pixel_accuracy=confusion.pixel_accuracy)
        self._say_evaluation(mean_iou, confusion.pixel_accuracy, time.monotonic() - began)
        self._say_collapsed(confusion.truth_pixels, confusion.predicted_pixels)
        if mean_iou > p.best:
            p.best = mean_iou
            training = {
                "step": p.step,
                "steps": self.steps,
                "epochs": p.step / self._steps_per_epoch(),
                "seconds": p.seconds,
            }
            metrics = {**measured.results, "split": self.recipe.data.val_split, "images": len(self.plan.val)}
            save_bundle(self.folder / "best", predictor.model, self.plan.bundle_info(training, metrics))

    def _predictor(self) -> Predictor:
        recipe, plan = self.recipe, self.plan
        state = torch.random.get_rng_state()  # a fresh network draws weights; training must not notice
        k, c = plan.taxonomy.num_classes, plan.preprocessing.channels
        options = without_download(recipe.model.options)
        model = build(recipe.model.name, num_classes=k, in_channels=c, **options)
        torch.random.set_rng_state(state)
        model.load_state_dict(self.average.state_dict() if self.average else self.bare.state_dict())
        return Predictor(model, plan.preprocessing, plan.taxonomy, plan.logit_bias, str(self.device))

    def _decide_steps(self) -> None:
        """Fixes the number of steps and of evaluations, from epochs, or from minutes by the rate of the first steps
        (which are then undone). The recipe that is saved says both."""
        recipe, evaluations = self.recipe, EVALUATIONS
        if recipe.minutes is None:
            self.steps = max(1, round((recipe.epochs or 50) * self._steps_per_epoch()))
        else:
            step, image = self._measure()
            left = recipe.minutes * 60 - (time.monotonic() - self.started)
            once = image * len(self.plan.val)
            evaluations = min(EVALUATIONS, max(2, int(0.05 * left / once))) if once else 1
            self.steps = max(1, int((left - evaluations * once) / step))
            self.steps, evaluations = broadcast_object_list([self.steps, evaluations])  # each process has its own clock
            rate = recipe.batch_size * recipe.accumulate * self.accelerator.num_processes / step
            self.report.line(
                f"time      {recipe.minutes:g} minutes at {rate:.1f} images/s are {self.steps} steps "
                f"({self.steps / self._steps_per_epoch():.1f} epochs); from here on the run is fixed"
            )
        every = recipe.evaluate_every or math.ceil(self.steps / evaluations) / self._steps_per_epoch()
        fixed = {"steps": self.steps, "epochs": None, "minutes": None, "evaluate_every": every}
        self.recipe = recipe.model_copy(update=fixed)

    def _measure(self) -> tuple[float, float]:
        """Seconds of one step and of evaluating one image."""
        times = []
        stream = self._batches(0, MEASURED_STEPS)
        with self._undone():
            for _ in range(MEASURED_STEPS):
                self._check_stop()
                began = time.monotonic()
                self._step(stream, 0.0)
                times.append(time.monotonic() - began)
        return float(np.median(times[2:])), self._measure_evaluation()

    def _measure_evaluation(self) -> float:
        """Seconds of evaluating one image, the first one (which warms up) left out where there are more."""
        predictor, times = self._predictor(), []
        for sample in self.plan.val[:4]:
            self._check_stop()
            began = time.monotonic()
            evaluate(predictor, [sample], self.plan.taxonomy, ("confusion",))
            times.append(time.monotonic() - began)
        return float(np.median(times[1:] or times or [0.0]))

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """Steps inside leave no trace, also where they are interrupted."""
        weights = {k: v.clone() for k, v in self.bare.state_dict().items()}
        random_state = torch.random.get_rng_state()
        average, self.average = self.average, None
        try:
            yield
        finally:
            self.average = average
            self.optimiser.load_state_dict({"state": {}, "param_groups": self.optimiser.state_dict()["param_groups"]})
            self.bare.load_state_dict(weights)
            torch.random.set_rng_state(random_state)

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        a, recipe = self.accelerator, self.recipe
        stream = Stream(len(self.plan.training_set), recipe.batch_size, recipe.seed, a.process_index, a.num_processes)
        workers = recipe.data.workers if recipe.data.workers is not None else (8 if self.device.type == "cuda" else 0)
        return batches(self.plan.training_set, stream, start * recipe.accumulate, stop * recipe.accumulate, workers)

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{k}": v for k, v in self.bare.state_dict().items()}
        if self.average:
            tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser) | {"random": torch.random.get_rng_state()}
        save_checkpoint(self.folder, Checkpoint(tensors, {**vars(self.progress), "steps": self.steps}))
        self._write_history()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes everything up from a checkpoint."""
        tensors, state = checkpoint.tensors, dict(checkpoint.state)
        try:
            self.bare.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
            if self.average:
                averaged = {k[8:]: v for k, v in tensors.items() if k.startswith("average.")}
                self.average.state = {k: v.to(self.device) for k, v in averaged.items()}
        except RuntimeError as error:
            raise UserError(f"{self.folder}: the checkpoint is of another network than recipe.yaml says") from error
        restore_optimiser(self.optimiser, tensors)
        torch.random.set_rng_state(tensors["random"])
        self.steps = int(state["steps"])
        self.progress = Progress(**{k: state[k] for k in vars(Progress())})

    def _open_folder(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.recipe.save(self.folder / "recipe.yaml")
        write_text(self.folder / "environment.json", json.dumps(environment(), indent=2) + "\n")
        self._save()  # so that an interrupt at any moment has something to go on from

    def _finish(self) -> None:
        if not self.plan.val:
            training = {"step": self.steps, "steps": self.steps, "seconds": self.progress.seconds}
            save_bundle(self.folder / "best", self._predictor().model, self.plan.bundle_info(training, {}))
        self._save()
        self.report.line(
            f"done      {self.steps} steps in {clock(self.progress.seconds)}; the model is {self.folder / 'best'}"
        )

    def _write_history(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.progress.rows)
        write_text(self.folder / "history.csv", text.getvalue())

    def _log_row(self, lr: float) -> None:
        p = self.progress
        row = {
            "step": p.step,
            "epoch": round(p.step / self._steps_per_epoch(), 4),
            "loss": p.loss_sum / p.loss_count,
            "lr": lr,
            "images_per_second": round(self._rate(), 2),
            "seconds": round(p.seconds, 2),
        }
        p.rows.append(row)
        p.loss_sum, p.loss_count = 0.0, 0
        if self.recipe.trackers:
            self.accelerator.log({k: v for k, v in row.items() if k != "step"}, step=p.step)

    def _rate(self) -> float:
        p = self.progress
        return (
            p.step
            * self.recipe.batch_size
            * self.recipe.accumulate
            * self.accelerator.num_processes
            / max(p.seconds, 1e-9)
        )

    def _tell(self, loss: float, lr: float) -> None:
        p = self.progress
        left = (self.steps - p.step) * p.seconds / p.step
        self.report.step(
            p.step, self.steps, f"loss {loss:.3f}  lr {lr:.1e}  {self._rate():.1f} images/s  {clock(left)} left"
        )

    def _say_plan(self, kept: bool) -> None:
        for line in self.plan.lines():
            self.report.line(line)
        every = self._evaluate_every()
        self.report.line(
            f"run       {self.folder}: {self.steps} steps ({self.steps / self._steps_per_epoch():.1f} epochs) on {self.device} in "
            f"{self.accelerator.mixed_precision if self.accelerator.mixed_precision != 'no' else 'fp32'}, evaluated every "
            f"{every} steps; images {'in memory' if kept else 'read from disk each time'}"
        )

    def _say_evaluation(self, mean_iou: float, accuracy: float, seconds: float) -> None:
        p = self.progress
        self.report.line(
            f"step {p.step}/{self.steps}  loss {p.rows[-1]['loss']:.3f}  val mIoU {mean_iou:.4f}  pixel accuracy {accuracy:.4f}"
            f"  {self._rate():.1f} images/s  (evaluated in {seconds:.0f} s{', best' if mean_iou > p.best else ''})"
        )

    def _say_collapsed(self, truth: Any, predicted: Any) -> None:
        names = self.plan.taxonomy.names
        never = [n for n, t, d in zip(names, truth, predicted, strict=True) if t and not d]
        if never:
            self.report.line(f"          never predicted: {', '.join(never)}")

    def _evaluate_every(self) -> int:
        """In steps."""
        epochs = self.recipe.evaluate_every
        return max(1, round(epochs * self._steps_per_epoch()) if epochs else math.ceil(self.steps / EVALUATIONS))

    def _steps_per_epoch(self) -> float:
        return self.plan.steps_per_epoch / self.accelerator.num_processes

    def _accelerator(self) -> Accelerator:
        recipe = self.recipe
        cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        precision = recipe.precision
        if precision == "auto":
            precision = "bf16" if computes_in_bf16(device) else "fp32"
        if precision == "fp16" and device.type != "cuda":
            raise UserError("precision fp16 needs a CUDA GPU; use auto, bf16 or fp32")
        AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
        known = [str(kind) for kind in LoggerType]
        for name in recipe.trackers:
            if name not in known:
                raise UserError(f'there is no tracker "{name}"; known: {", ".join(known)}.{nearest(name, known)}')
        accelerator = Accelerator(
            cpu=cpu,
            mixed_precision="no" if precision == "fp32" else precision,
            log_with=list(recipe.trackers) or None,
            project_dir=str(self.folder),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=3))],  # others wait while one evaluates
        )
        if recipe.trackers:
            accelerator.init_trackers("perpixel")
        return accelerator

    def _check_stop(self) -> None:
        """Raises `Interrupted` when any process was told to stop; all processes look together."""
        stop = self.stop
        if self.accelerator.num_processes > 1:
            stop = bool(self.accelerator.reduce(torch.tensor(float(stop), device=self.device)).item())
        if stop:
            raise Interrupted

    def _check_own_stop(self) -> None:
        if self.stop:
            raise Interrupted

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask the loop to stop; a second Ctrl-C stops at once."""

        def ask(number: int, _: Any) -> None:
            if self.stop and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.stop = True

        before: dict[signal.Signals, Callable[..., Any] | int | None] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, ask)
        except ValueError:  # not in the main thread: signals stay whose they were
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Stopping(Silent):
    """Looks at every image of an evaluation whether the run was told to stop."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def step(self, done: int, total: int, text: str = "") -> None:
        self.check()
