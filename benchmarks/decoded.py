"""What decoded images in a file are worth: samples a second of one thread from JPEGs, from the file of `data.cache`, and from memory.

    python benchmarks/decoded.py [--size 1080x1440] [--images 24] [--crop 512]

Made street scenes as JPEG (quality 90) and PNG masks; every way gives the same samples (asserted), in turns, medians of five.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from perpixel.core.reporter import Silent
from perpixel.data.decoded import keep_decoded
from perpixel.data.loader import TrainingSet
from perpixel.data.mask_source import MaskFile
from perpixel.data.samples import Sample
from perpixel.data.transforms import Augmentation
from perpixel.labels import Taxonomy

CLASSES = Taxonomy.of([f"class {i}" for i in range(19)])
ROUNDS = 5


def make(root: Path, count: int, size: tuple[int, int]) -> list[Sample]:
    """Smooth pictures with noise: their JPEGs are about as large as a photo's."""
    rng, samples = np.random.default_rng(0), []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[0] // 30, size[1] // 30, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        labels = Image.fromarray(rng.integers(0, 19, (size[0] // 60, size[1] // 60), dtype=np.uint8))
        Image.fromarray(noisy).save(root / f"{i}.jpg", quality=90)
        labels.resize((size[1], size[0]), Image.Resampling.NEAREST).save(root / f"{i}.png")
        samples.append(Sample(str(i), root / f"{i}.jpg", MaskFile(root / f"{i}.png")))
    return samples


def seconds(data: TrainingSet, epoch: int) -> float:
    before = time.perf_counter()
    for index in range(len(data)):
        _ = data[epoch, index]
    return (time.perf_counter() - before) / len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Samples a second from files, from decoded ones, and from memory.")
    parser.add_argument("--size", default="1080x1440", help="height x width")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--crop", type=int, default=512)
    given = parser.parse_args()
    torch.set_num_threads(1)
    height, width = map(int, given.size.split("x"))
    how = Augmentation(crop=(given.crop, given.crop))
    with tempfile.TemporaryDirectory() as folder:
        samples = make(Path(folder), given.images, (height, width))
        files, disk, memory = (TrainingSet(samples, CLASSES, how, 0, memory_bytes=m) for m in (1, 1, 10**12))
        keep_decoded(disk, Path(folder) / "cache", lambda: "all", Silent())
        keep_decoded(memory, None, lambda: "all", Silent())
        ways = {"from JPEG and PNG": files, "from data.cache": disk, "from memory": memory}
        first = [way[0, 1][0] for way in ways.values()]
        assert all(torch.equal(first[0], other) for other in first[1:])
        times: dict[str, list[float]] = {name: [] for name in ways}
        for epoch in range(ROUNDS):
            for name, way in ways.items():
                times[name].append(seconds(way, epoch))
    base = statistics.median(times["from JPEG and PNG"])
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"{name:18} {1 / middle:8.1f} samples/s  {base / middle:5.1f} times")


if __name__ == "__main__":
    main()
