"""A folder of images from start to files: `perpixel predict` beside a plain loop of the same network, in one run.

    python benchmarks/predict_folder.py IMAGES [--count 100] [--repeats 3] [--model street]

Both are processes of their own, one after the other in turn, so that the start counts. The plain loop is what one writes by
hand: Pillow opens, torch normalises, the same model answers at the same working size, argmax, an index PNG by Pillow and
an overlay (half the image, half the classes' colours) as JPEG. Medians of seconds, the ratio, the most memory of each.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path


def plain(model: str, folder: str, out: str) -> None:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image

    from perpixel.infer import load  # for the weights; the loop below is plain torch

    predictor = load(model, device="cpu")
    network = predictor.model.float().eval()
    pixels = predictor.preprocessing
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (pixels.mean, pixels.std))
    palette = predictor.taxonomy.palette
    Path(out).mkdir()
    for path in sorted(Path(folder).iterdir()):
        image = np.asarray(Image.open(path).convert("RGB"))
        x = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255 - mean) / std
        with torch.inference_mode():
            logits = network(F.interpolate(x, scale_factor=pixels.scale, mode="bilinear"))["logits"]
            labels = F.interpolate(logits, image.shape[:2], mode="bilinear").argmax(1)[0].numpy().astype(np.uint8)
        Image.fromarray(labels).save(Path(out) / f"{path.stem}.png")
        Image.fromarray(image // 2 + palette[labels] // 2).save(Path(out) / f"{path.stem}_overlay.jpg")


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds, and MiB at most, of a process."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="a folder")
    parser.add_argument("--count", type=int, default=100, help="how many of its images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="street")
    given = parser.parse_args()
    found = sorted(p for p in Path(given.images).iterdir() if p.is_file())[: given.count]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        folder.mkdir()
        for path in found:
            shutil.copy(path, folder)
        taken: dict[str, list[tuple[float, float]]] = {"perpixel predict": [], "plain loop": []}
        for i in range(given.repeats):
            out = f"{place}/{i}"
            ours = [
                "-m",
                "perpixel",
                "predict",
                str(folder),
                "--model",
                given.model,
                "--out",
                f"{out}-ours",
                "--device",
                "cpu",
            ]
            loop = [__file__, "--plain", given.model, str(folder), f"{out}-plain"]
            for name, arguments in zip(taken, (ours, loop), strict=True):
                taken[name].append(measured([sys.executable, *arguments]))
    for name, runs in taken.items():
        seconds = statistics.median(s for s, _ in runs)
        print(f"{name}: {seconds:.1f} s, {len(found) / seconds:.1f} images/s, {max(m for _, m in runs):.0f} MiB")
    ours_s, plain_s = (statistics.median(s for s, _ in runs) for runs in taken.values())
    print(f"the plain loop takes {plain_s / ours_s:.2f} times as long")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plain"]:
        plain(*sys.argv[2:])
    else:
        main()
