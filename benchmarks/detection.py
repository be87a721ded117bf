"""Detectors against each other, for the same minutes: R-FCN and the pyramid, hard examples on and off, deformable on and off.

    python benchmarks/detection.py prepare --nuclei NUCLEI --camvid CAMVID --data DIR     small copies of both sets
    python benchmarks/detection.py run --data DIR --out RESULTS.jsonl --minutes 1 --seeds 0,1,2 [--device cpu] [--only WORD,...]
    python benchmarks/detection.py table --out RESULTS.jsonl                              means, intervals, differences
    python benchmarks/detection.py speed --out RESULTS.jsonl [--device cpu]               600 x 1000, beside torchvision's

A run is data, variant and seed; each adds a line to RESULTS.jsonl, and one that is there with the same minutes is skipped, so
that a stopped benchmark goes on. Several processes may write to one file: give each its own --seeds. A run that fails adds
a line with "error". `--only nuclei,rfcn` takes the runs whose name (`nuclei rfcn`) has every word. All train from fresh
weights with one encoder; the evaluations count as part of the minutes, as everywhere.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESNET = {"encoder": "resnet18"}
VOTES = {**RESNET, "channels": 256, "stride": 8, "group": 3, "proposals": 500}
PYRAMID = {**RESNET, "channels": 128, "hidden": 512, "proposals": 500}
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "rfcn": ("rfcn", VOTES, {"ohem": True, "ohem_iou": None}),
    "rfcn-sampled": ("rfcn", VOTES, {"ohem": False}),
    "deformable_rfcn": ("deformable_rfcn", VOTES, {"ohem": True, "ohem_iou": None}),
    "fpn_detector": ("fpn_detector", PYRAMID, {"ohem": False}),
    "fpn_detector-ohem": ("fpn_detector", PYRAMID, {"ohem": True, "regions": 128}),
}
"""Name -> detector, its options, options of its loss."""
PAIRS = (
    ("rfcn", "fpn_detector"),
    ("rfcn", "rfcn-sampled"),
    ("fpn_detector-ohem", "fpn_detector"),
    ("deformable_rfcn", "rfcn"),
)
"""What is compared: the first less the second, seed by seed."""
DATA: dict[str, dict[str, Any]] = {
    "nuclei": {"data.crop": [256, 256], "data.flip_vertical": True, "detection.most": 400},
    "camvid": {
        "data.crop": [320, 448],
        "detection.classes": ["car", "pedestrian"],
        "detection.least_pixels": 64,
        "detection.least_side": 5,
    },
}
"""Regions of the masks are the objects. In CamVid cars that touch are one, and what is below 64 pixels is not counted."""
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}
"""Student's t for a two-sided interval of 95 % of so many seeds."""


def prepare(nuclei: Path, camvid: Path, out: Path) -> None:
    """Images as WebP, masks as PNG, in one folder a set."""
    import numpy as np
    from PIL import Image

    from perpixel.core.files import write_text
    from perpixel.core.image import read_image
    from perpixel.data.folders import open_dataset
    from perpixel.data.statistics import infer_taxonomy

    for name, folder in (("nuclei", nuclei), ("camvid", camvid)):
        dataset = open_dataset(str(folder))
        samples = [s for split in dataset.splits.values() for s in split]
        taxonomy = dataset.classes or infer_taxonomy(samples)
        for split in ("train", "val"):
            for kind in ("images", "masks"):
                (out / name / kind / split).mkdir(parents=True, exist_ok=True)
            for sample in dataset.split(split):
                stem = Path(sample.name).name
                assert sample.mask
                Image.fromarray(read_image(sample.image)).save(out / name / f"images/{split}/{stem}.webp", quality=90)
                values = sample.mask.read().values.astype(np.uint8)
                Image.fromarray(values).save(out / name / f"masks/{split}/{stem}.png", optimize=True)
        write_text(out / name / "dataset.yaml", json.dumps({"name": name, **taxonomy.to_dict()}))


def one(data: Path, name: str, variant: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Trains one run and says what came out."""
    import torch

    from perpixel.bundle import read_info
    from perpixel.core.reporter import Plain
    from perpixel.train import default_recipe, train

    detector, options, loss = VARIANTS[variant]
    length = {"steps": given.steps} if given.steps else {"minutes": given.minutes}
    changes = {**DATA[name], **length, "data.path": str(data / name), "seed": seed, "detection.loss": loss}
    changes |= {"model.options": options, "batch_size": given.batch, "precision": given.precision}
    changes |= {"data.workers": given.workers, "optimiser.ema": 0.99}
    with tempfile.TemporaryDirectory() as folder:
        trained = train(default_recipe(detector).changed(changes), Path(folder) / "run", Plain())
        info = read_info(trained.run / "best")
        rows = (trained.run / "history.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    coco = info.metrics["coco"]
    return {
        "steps": trained.steps,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        **{key: coco[key] for key in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ap50_per_class")},
        "last_ap50": float(last["val_ap50"]),
        "voc07": info.metrics["voc07"]["mean"],
        "convention": info.metrics["convention"],
    }


def run(given: argparse.Namespace) -> None:
    """Every run that is asked for and not there."""
    words = given.only.split(",") if given.only else []
    for seed in map(int, given.seeds.split(",")):  # so that a stopped benchmark has whole seeds
        for name in DATA:
            for variant in VARIANTS:
                if not all(word in f"{name} {variant}".split() for word in words):
                    continue
                key = {
                    "data": name,
                    "variant": variant,
                    "seed": seed,
                    "minutes": given.minutes,
                    "max_steps": given.steps,
                }
                if any(all(row.get(k) == v for k, v in key.items()) and "error" not in row for row in read(given.out)):
                    continue
                began = time.monotonic()
                try:
                    found = one(given.data, name, variant, seed, given)
                except Exception as error:  # one that fails must not cost the others
                    found = {"error": f"{type(error).__name__}: {error}"[:300]}
                add(given.out, {**key, **found, "seconds": round(time.monotonic() - began, 1)})


def read(file: Path) -> list[dict[str, Any]]:
    """The lines that are there."""
    return [json.loads(line) for line in file.read_text().splitlines() if line] if file.is_file() else []


def add(file: Path, row: dict[str, Any]) -> None:
    """One more line, at once on the disk."""
    line = json.dumps(row)
    print(line, flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a") as out:
        out.write(line + "\n")


def table(file: Path) -> None:
    """AP50 and AP by data and variant: mean over seeds and half the interval of 95 %; then differences seed by seed."""
    rows = [row for row in read(file) if "ap50" in row]
    for name in DATA:
        own = [row for row in rows if row["data"] == name]
        by_variant = {v: {r["seed"]: r for r in own if r["variant"] == v} for v in VARIANTS}
        print(f"\n{name}: AP50 and AP; {own[0]['device'] if own else 'no run'}")
        for variant, found in by_variant.items():
            if found:
                steps = statistics.mean(r["steps"] for r in found.values())
                print(
                    f"  {variant:<18} {interval(found, 'ap50')}  {interval(found, 'ap')}  {steps:.0f} steps, {len(found)} seeds"
                )
        for first, second in PAIRS:
            shared = sorted(by_variant[first].keys() & by_variant[second].keys())
            differences = {s: {"d": by_variant[first][s]["ap50"] - by_variant[second][s]["ap50"]} for s in shared}
            if differences:
                print(f"  {first} - {second}: {interval(differences, 'd')}")
    errors = [row for row in read(file) if "error" in row]
    for row in errors:
        print(f"failed: {row['data']} {row['variant']} {row['seed']}: {row['error']}")


def interval(found: dict[int, dict[str, Any]], key: str) -> str:
    """Mean and half the width of the interval; the bare mean of one seed, or of more than `T95` knows."""
    values = [row[key] or 0.0 for row in found.values()]
    mean = f"{statistics.mean(values):+.3f}" if key == "d" else f"{statistics.mean(values):.3f}"
    if len(values) not in T95:
        return mean
    return f"{mean} ± {T95[len(values)] * statistics.stdev(values) / len(values) ** 0.5:.3f}"


def speed(given: argparse.Namespace) -> None:
    """Seconds of an image of 600 x 1000 and peak memory, ours with `choose`, and torchvision's of the same encoder."""
    import torch
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    from perpixel.detection import build, choose

    device = torch.device(given.device)
    image = torch.rand(1, 3, 600, 1000, device=device)

    def ours(name: str) -> Callable[[], object]:
        network = build(name, 20, encoder="resnet50").to(device).eval()
        return lambda: choose(network(image), (600, 1000))

    def theirs() -> Callable[[], object]:
        network = fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=21, min_size=600, max_size=1000
        )
        network = network.to(device).eval()
        return lambda: network([image[0]])

    makers: dict[str, Callable[[], Callable[[], object]]] = {"torchvision": theirs}
    makers |= {name: lambda name=name: ours(name) for name in ("fpn_detector", "rfcn", "deformable_rfcn")}  # type: ignore[misc]
    for name, make in makers.items():
        with torch.inference_mode():
            step, times = make(), []
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            for _ in range(given.repeats + 2):
                began = time.perf_counter()
                step()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - began)
        memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
        where = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
        add(given.out, {"speed": name, "seconds": statistics.median(times[2:]), "peak_mib": memory, "device": where})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("prepare", "run", "table", "speed"))
    parser.add_argument("--data", type=Path, default=Path("shared/detection"))
    parser.add_argument("--out", type=Path, default=Path("runs/detection.jsonl"))
    parser.add_argument("--nuclei", type=Path)
    parser.add_argument("--camvid", type=Path)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--steps", type=int, help="so many steps in place of minutes")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    if given.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks
    if given.verb == "prepare":
        if not given.nuclei or not given.camvid:
            sys.exit("prepare needs --nuclei and --camvid")
        prepare(given.nuclei, given.camvid, given.data)
    elif given.verb == "table":
        table(given.out)
    else:
        {"run": run, "speed": speed}[given.verb](given)


if __name__ == "__main__":
    main()
