"""What watching each class's share of loss and gradient costs a training step.

    python benchmarks/class_shares.py CAMVID [--model fast_scnn] [--batch 8] [--rounds 12]

The same network steps on the same batch with and without the watching, in turns, so that a busy machine slows both; the
median of the ratios of neighbours is printed, for the times themselves depend on the machine. The goal is below 1.02.
fast_scnn is the cheapest network by far, so the hardest case.

Measured once, one thread of a shared 2-core CPU, batch 8 of 352x480 crops of CamVid, 11 classes: fast_scnn 1.012. On a GPU:
not measured.
"""

import argparse
import statistics
import time
from itertools import pairwise
from pathlib import Path

import torch

from perpixel.core.memory import keep_freed_memory
from perpixel.core.reporter import Silent
from perpixel.train.devices import make_accelerator
from perpixel.train.objective import Place
from perpixel.train.objectives.segmentation import Segmentation
from perpixel.train.recipe import default_recipe
from perpixel.train.setup import set_up
from perpixel.train.state import State


class Deaf:
    """Watches nothing."""

    def watch(self, logits: torch.Tensor, labels: torch.Tensor) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="fast_scnn")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    keep_freed_memory()
    changes = {"data.path": given.data, "batch_size": given.batch, "data.workers": 0}
    recipe = default_recipe(given.model).changed(changes)
    objective = Segmentation(set_up(recipe, Silent()))
    accelerator = make_accelerator(recipe, Path())
    state, place = State(objective.network, recipe, accelerator), Place(accelerator.device)
    batch = next(objective.batches(0, 1, place))
    hearing, times = objective.tally, []

    def step() -> float:
        before = time.perf_counter()
        state.step(
            lambda: objective.loss(state.forward(*objective.inputs(batch, place.device)), batch), 1, 1e-4, len(times)
        )
        if place.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - before

    for n in range(2 * given.rounds + 4):
        objective.tally = hearing if n % 2 else Deaf()  # type: ignore[assignment]
        times.append(step())
    times = times[4:]
    ratios = [b / a for i, (a, b) in enumerate(pairwise(times)) if i % 2 == 0]
    ratios += [a / b for i, (a, b) in enumerate(pairwise(times)) if i % 2 == 1]
    print(f"{given.model}, batch {given.batch} of {tuple(batch.image.shape[-2:])}, {place.device}: {len(times)} steps")
    print(f"with / without watching: {statistics.median(ratios):.4f} (goal: below 1.02)")


if __name__ == "__main__":
    main()
