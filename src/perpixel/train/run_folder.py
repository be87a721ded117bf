"""A run's folder: what training writes there, and who may.

RUN/recipe.yaml        what is done, loadable
RUN/environment.json   with what
RUN/data.json          what is known of its data
RUN/history.csv        a row every now and then
RUN/last, previous     checkpoints
RUN/best               the bundle
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from perpixel.core.errors import UserError
from perpixel.core.files import clean_leftovers, write_text
from perpixel.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perpixel.train.devices import environment
from perpixel.train.progress import write_history
from perpixel.train.recipe import Recipe, load_recipe

LOCK, DATA = ".lock", "data.json"


@dataclass(frozen=True)
class RunFolder:
    """A folder that one training at a time may write to; what a killed one left half-written there goes when it is claimed.

    Args:
        path: of the folder.
        writes: whether this process does; under torchrun only one does, and the others' calls do nothing.
    """

    path: Path
    writes: bool = True

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Nobody else trains into the folder meanwhile. It goes again if nothing was put into it.

        Raises:
            UserError: another training is at work there.
        """
        if not self.writes:
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise UserError(
                f"{self.path}: another training is at work in this folder; wait for it or give another by --out"
            ) from error
        for folder in (self.path, self.path / "best", self.path / "classifier"):
            clean_leftovers(folder)
        try:
            yield
        finally:
            (self.path / LOCK).unlink(missing_ok=True)  # while it is held, or another's could be taken away
            lock.release()
            with suppress(OSError):
                self.path.rmdir()

    def has_checkpoint(self) -> bool:
        """Whether a checkpoint was ever begun to be kept there."""
        return any((self.path / name).exists() for name in ("last", "previous"))

    def refuse_used(self) -> None:
        """Raises UserError where there is a run with a checkpoint or a model; one that never got so far is written over."""
        if (self.path / "recipe.yaml").exists() and (self.has_checkpoint() or (self.path / "best").exists()):
            raise UserError(
                f"{self.path} holds a run already; go on with --resume {self.path}, or give another folder by --out"
            )

    def recipe(self) -> Recipe:
        """What the run does.

        Raises:
            UserError: the folder is no run's.
        """
        if not (self.path / "recipe.yaml").is_file():
            raise UserError(f"{self.path}: no recipe.yaml; --resume takes the folder that a training run has made")
        return load_recipe(self.path / "recipe.yaml")

    def data(self) -> Mapping[str, Any] | None:
        """What the run knows of its data; None where it was made by a version that kept nothing.

        Raises:
            UserError: the file is damaged.
        """
        file = self.path / DATA
        try:
            return json.loads(file.read_text("utf-8")) if file.is_file() else None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{file}: damaged; remove it to have the data measured again") from error

    def open(self, recipe: Recipe, data: Mapping[str, Any] | None = None) -> None:
        """Writes the recipe, what it is done with, and what is known of its data."""
        if self.writes:
            self.path.mkdir(parents=True, exist_ok=True)
            recipe.save(self.path / "recipe.yaml")
            write_text(self.path / "environment.json", json.dumps(environment(), indent=2) + "\n")
            if data:
                write_text(self.path / DATA, json.dumps(data) + "\n")

    def save(self, checkpoint: Checkpoint) -> None:
        """Keeps a checkpoint, and the history that it holds."""
        if self.writes:
            save_checkpoint(self.path, checkpoint)
            write_history(self.path / "history.csv", checkpoint.state["rows"])

    def load(self) -> tuple[Checkpoint | None, str]:
        """The newest whole checkpoint and a line about it; None where the run was stopped before its first.

        Raises:
            UserError: there are checkpoints, and all are damaged.
        """
        if not self.has_checkpoint():
            return None, f"{self.path}: stopped before its first checkpoint; it begins again"
        return load_checkpoint(self.path)
