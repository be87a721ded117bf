"""How fast the empirical field's passes are, as a share of plain batched inference of the same network in the same run.

    python benchmarks/fields_speed.py [--model street] [--size 342 456] [--step 24] [--rounds 5] [--device cpu]

Plain: one batch again and again, as large as those of the passes. Passes: copies of one image with noise at one place each,
made, passed through the whole network and read at 50 units of its last map. Both are timed in turn, as many images each; the
median of the rounds counts. On a CPU the time is that of the process, so that other work on the machine does not count.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from perpixel.analyze.effective import fixed
from perpixel.analyze.maps import LOGITS, map_shapes
from perpixel.core.memory import keep_freed_memory
from perpixel.explain.discrepancy import Place, discrepancies
from perpixel.explain.occluded import Grid, batch_size, noise
from perpixel.explain.search import Unit
from perpixel.infer import load

UNITS = 50


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds: of the process on a CPU, by the clock on a GPU, what is still on it included."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="street")
    parser.add_argument("--size", type=int, nargs=2, default=(342, 456))
    parser.add_argument("--step", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    keep_freed_memory()
    predictor = load(options.model, options.device)
    model, channels = predictor.model, predictor.preprocessing.channels
    image = torch.randn(1, channels, *options.size, device=predictor.device)
    _, rows, columns = map_shapes(model, image)[LOGITS]
    places = [Place(Unit(LOGITS, 0), (n * rows // UNITS, n * columns // UNITS)) for n in range(UNITS)]
    grid, count = Grid((options.size[0], options.size[1]), 11, options.step), batch_size(image)
    batches = [image.repeat(len(part), 1, 1, 1) for part in grid.corners.split(count)]
    batches = [batch.contiguous(memory_format=torch.channels_last) for batch in (batches[0], batches[-1])]
    whole, rest = divmod(len(grid.corners), count)

    def plain() -> None:
        with fixed(model), torch.inference_mode():
            for batch in [batches[0]] * whole + [batches[1]] * (rest > 0):
                model(batch)

    def passes() -> None:
        discrepancies(model, image, places, grid, noise(channels, 11), {})

    for warm in (plain, passes):
        warm()
    seconds = [(timed(plain, predictor.device), timed(passes, predictor.device)) for _ in range(options.rounds)]
    rates = [len(grid.corners) / statistics.median(column) for column in zip(*seconds, strict=True)]
    print(f"{options.model}, {options.size[0]} x {options.size[1]}, batches of {count}, {predictor.device}")
    print(f"plain {rates[0]:.2f} images/s, passes {rates[1]:.2f} images/s: {rates[1] / rates[0]:.1%}")
    print("rounds " + ", ".join(f"{a / b:.1%}" for a, b in seconds))


if __name__ == "__main__":
    main()
