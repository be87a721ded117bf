"""How long one confusion-matrix update takes, as a ratio to peers timed in the same run.

    python benchmarks/metrics.py [--rounds 15]

One 1024x2048 pair of label maps of 19 classes: a street-like scene (13 runs a row in the truth; CamVid's real masks,
enlarged to this size, have 11) whose prediction has jagged, shifted borders and wrong blobs; and pure noise. The ways
take turns, so that a busy machine slows all of them; the medians of their rounds are compared, and only ratios are
printed, for the times themselves depend on the machine.

Measured, one thread of a shared 2-core machine, six runs, perpixel's time / the other's:

    street   numpy bincount 0.11 to 0.17   torchmetrics 0.016 to 0.026 (uint8 maps), 0.006 to 0.010 (int64)
    noise    numpy bincount 0.43 to 0.46   torchmetrics 0.085 to 0.089 (uint8 maps), 0.028 to 0.030 (int64)

The time grows with the number of runs: with 18 a row in the truth (50 upright things instead of 30) the ratio to numpy
is 0.19 to 0.20. int64 tensors take about 4 times as long as uint8 maps, for they are eight times as many bytes.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from perpixel.metrics import ConfusionMatrix

H, W, K, IGNORE = 1024, 2048, 19, 255
LIMITS = {("street", "numpy bincount"): 1 / 5, ("street", "torchmetrics"): 1 / 20, ("noise", "numpy bincount"): 1.0}
Maps = np.ndarray[Any, np.dtype[np.uint8]]


def street(rng: np.random.Generator) -> tuple[Maps, Maps]:
    """Sky, buildings, road, some 30 upright things, an ignored bonnet; a prediction that is wrong along borders."""
    truth = np.full((H, W), 10, np.uint8)
    rows, columns = np.arange(H)[:, None], np.arange(W)[None]
    for label, height in ((2, 300), (8, 420), (1, 560), (0, 640)):
        truth[rows > height + 40 * np.sin(columns / 150 + label) + rng.integers(-2, 3, W).cumsum() // 4] = label
    for _ in range(30):
        height, width = rng.integers(30, 400), rng.integers(6, 200)
        top, left, label = rng.integers(0, H - height), rng.integers(0, W - width), rng.integers(0, K)
        wobble = rng.integers(-2, 3, height).cumsum() // 3
        for row, shift in enumerate(wobble):
            truth[top + row, max(0, left + shift) : max(0, left + width + shift)] = label
    prediction = jagged(truth, rng)
    truth[960:] = IGNORE
    return truth, prediction


def jagged(truth: Maps, rng: np.random.Generator) -> Maps:
    """The truth with rows moved by up to 4 pixels, thin things lost in places, and 40 wrong blobs."""
    moved = np.stack([np.roll(row, shift) for row, shift in zip(truth, rng.integers(-4, 5, H), strict=True)])
    for _ in range(40):
        top, left = rng.integers(0, H - 40), rng.integers(0, W - 60)
        moved[top : top + rng.integers(5, 40), left : left + rng.integers(5, 60)] = rng.integers(0, K)
    return moved


def noise(rng: np.random.Generator) -> tuple[Maps, Maps]:
    """Every pixel on its own: no run to find."""
    truth, prediction = rng.integers(0, K, (2, H, W), np.uint8)
    truth[rng.random((H, W)) < 0.05] = IGNORE
    return truth, prediction


def numpy_bincount(truth: Maps, prediction: Maps) -> np.ndarray[Any, Any]:
    """The way of FCN's score.py, which most toolkits took over."""
    valid = (truth >= 0) & (truth < K)
    return np.bincount(K * truth[valid].astype(int) + prediction[valid], minlength=K * K).reshape(K, K)


def ours(truth: Any, prediction: Any) -> np.ndarray[Any, Any]:
    """perpixel, all checks included."""
    matrix = ConfusionMatrix(K)
    matrix.update(prediction, truth)
    return matrix.counts


def torchmetrics_way() -> Callable[[torch.Tensor, torch.Tensor], np.ndarray[Any, Any]] | None:
    """torchmetrics' MulticlassConfusionMatrix as its users call it, or None where it is not installed."""
    try:
        from torchmetrics.classification import MulticlassConfusionMatrix
    except ImportError:
        return None

    def count(truth: torch.Tensor, prediction: torch.Tensor) -> np.ndarray[Any, Any]:
        metric = MulticlassConfusionMatrix(K, ignore_index=IGNORE)
        metric.update(prediction, truth)
        return metric.compute().numpy()

    return count


def medians(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each way; all ways once a round, in turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return {name: median(values[1:]) for name, values in times.items()}


def compare(scene: str, truth: Maps, prediction: Maps, rounds: int) -> None:
    """Print our time as a ratio to each peer's, after a check that all count the same."""
    longs = torch.from_numpy(truth).long(), torch.from_numpy(prediction).long()
    small = torch.from_numpy(truth), torch.from_numpy(prediction)
    ways: dict[str, Callable[[], Any]] = {
        "perpixel": lambda: ours(truth, prediction),
        "perpixel, int64 tensors": lambda: ours(*longs),
        "numpy bincount": lambda: numpy_bincount(truth, prediction),
    }
    peer = torchmetrics_way()
    if peer is not None:
        ways["torchmetrics"] = lambda: peer(*small)
        ways["torchmetrics, int64 tensors"] = lambda: peer(*longs)
    for name, way in ways.items():
        assert np.array_equal(way(), ways["perpixel"]()), f"{name} counts differently"
    times = medians(ways, rounds)
    for name in ways:
        limit = LIMITS.get((scene, name))
        goal = "" if limit is None else f"  (goal: at most {limit:.3f})"
        print(f"{scene:8} perpixel / {name:28} {times['perpixel'] / times[name]:7.3f}{goal}")


def main() -> None:
    """Run both scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    truth, prediction = street(rng)
    changes = np.diff(truth) != 0, np.diff(prediction) != 0
    alone, joint = 1 + np.count_nonzero(changes[0]) / H, 1 + np.count_nonzero(changes[0] | changes[1]) / H
    agree = (truth == prediction)[truth != IGNORE].mean()
    print(f"street: {alone:.0f} runs a row in the truth, {joint:.0f} in the pair; {agree:.3f} of valid pixels agree")
    compare("street", truth, prediction, rounds)
    compare("noise", *noise(rng), rounds)


if __name__ == "__main__":
    main()
