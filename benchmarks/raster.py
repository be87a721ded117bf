"""A large tiled TIFF predicted by window: peak memory, rate, and the same file after `kill -9` and going on.

    python benchmarks/raster.py 10000 folder [network]

It makes the raster (random blocks, zlib, tiles of 256), predicts it in a process that is killed after about a third of the tiles,
and goes on in another; both say what they did. The network is `unet` at a width of
4 unless another is named; weights are random, with 5 classes.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile


def make(file: Path, side: int) -> None:
    def tiles() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        for _ in range((-(-side // 256)) ** 2):
            yield rng.integers(0, 256, (32, 32, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)

    tifffile.imwrite(
        file,
        tiles(),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(256, 256),
        bigtiff=True,
        compression="zlib",
        photometric="rgb",
    )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def work(file: Path, output: Path, network: str, kill_after: float) -> None:
    import torch

    from perpixel import build
    from perpixel.bundle import Preprocessing
    from perpixel.infer import Predictor
    from perpixel.infer.by_window import predict_raster
    from perpixel.labels import Taxonomy

    torch.manual_seed(0)
    model = build(network, num_classes=5, **({"width": 4} if network == "unet" else {}))
    predictor = Predictor(model, Preprocessing(3, (0.5,) * 3, (0.25,) * 3), Taxonomy.of("abcde"), device="cpu")
    before, start = peak(), time.perf_counter()

    def see(done: int, of: int) -> None:
        if done == of or done >= kill_after * of:
            seconds = round(time.perf_counter() - start, 1)
            print(json.dumps({"done": done, "of": of, "seconds": seconds, "peak_gib": round(peak(), 2)}), flush=True)
        if done >= kill_after * of:
            os.kill(os.getpid(), signal.SIGKILL)

    said = predict_raster(predictor, file, output, see=see)
    assert said is not None
    seconds = round(time.perf_counter() - start, 1)
    end = {"predicted": said["predicted"], "tiles": said["tiles"], "seconds_with_writing": seconds}
    print(json.dumps({"network": network, "before_gib": round(before, 2), "peak_gib": round(peak(), 2), **end}))


def main() -> None:
    side, folder, network = int(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or ["unet"])[0]
    file, output = folder / f"{side}.tif", folder / f"{side}_labels.tif"
    if len(sys.argv) > 4:
        work(file, output, network, float(sys.argv[4]))
        return
    folder.mkdir(parents=True, exist_ok=True)
    make(file, side)
    for kill_after in ("0.33", "2"):
        done = subprocess.run([sys.executable, __file__, str(side), str(folder), network, kill_after], check=False)
        print(json.dumps({"exit": done.returncode}), flush=True)


if __name__ == "__main__":
    main()
