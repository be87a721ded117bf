"""A run folder as training left it, read back."""

import csv
import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from perpixel.bundle import BundleInfo, read_info
from perpixel.core.errors import UserError
from perpixel.train import Recipe, load_recipe

Row = dict[str, float]


@dataclass(frozen=True)
class RunFolder:
    """What is in a run's folder. `info` is None when no model was kept yet; history and environment may be empty.

    `stages` has the name of the objective of each row, "" where a run has one alone.
    """

    path: Path
    recipe: Recipe
    environment: dict[str, Any]
    history: tuple[Row, ...]
    stages: tuple[str, ...]
    info: BundleInfo | None

    @property
    def best(self) -> Path:
        """The folder of the model that was kept."""
        return self.path / "best"

    def curve(self, column: str, stage: str = "") -> list[tuple[float, float]]:
        """(step, value) of a history's column in a stage, where it has a finite value."""
        rows = [row for row, name in zip(self.history, self.stages, strict=True) if name == stage]
        return [(r["step"], r[column]) for r in rows if "step" in r and column in r]

    def trained_on(self) -> str:
        """The day and minute when the model was written, local time; nothing without one."""
        file = self.best / "model.json"
        return f"{datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d %H:%M}" if file.is_file() else ""


def read_run(path: Path) -> RunFolder:
    """Reads a run.

    Raises:
        UserError: the folder is not a run, or its recipe or its model's description is damaged.
    """
    if not (path / "recipe.yaml").is_file():
        hint = f"; it is part of the run {path.parent}" if (path.parent / "recipe.yaml").is_file() else ""
        raise UserError(f"{path}: no recipe.yaml in it{hint}; RUN is the folder that perpixel train has made")
    info = read_info(path / "best") if (path / "best" / "model.json").is_file() else None
    rows = _history(path)
    stages = tuple(row.get("stage") or "" for row in rows)
    recipe = load_recipe(path / "recipe.yaml")
    return RunFolder(path, recipe, _environment(path), tuple(map(_finite, rows)), stages, info)


def _environment(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _history(path: Path) -> tuple[dict[str, str], ...]:
    try:
        with open(path / "history.csv", encoding="utf-8", newline="") as file:
            return tuple(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return ()


def _finite(row: dict[Any, Any]) -> Row:
    """The columns that hold a finite number."""
    found = {}
    for key, text in row.items():
        try:
            value = float(text)
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            found[str(key)] = value
    return found
