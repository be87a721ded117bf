"""Gridding of small DRN-A, B and C, trained alike: the number of `perpixel.analyze.gridding` for each level of the trunk.

    python benchmarks/drn_gridding.py --out DIR [--width 0.25] [--steps 300] [--seeds 3] [--images 20] [--device auto]

The data are synthetic scenes of perpixel's own (160 to train, 40 to judge, 120 x 160 pixels), the recipe the default one but for
steps and the order of values in memory. Each network is trained from fresh weights, on a GPU where there is one, so many
times with other seeds; then the maps of its levels are measured on scenes kept aside, all with the period 4, the largest
dilation of all three. DIR/figures.json and DIR/gridding.png are written; what is trained already is not trained again. Beside the
trained networks stand fresh ones.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
from torch import nn

from perpixel.analyze.gridding import gridding_by_layer
from perpixel.core.files import write_text
from perpixel.core.memory import keep_freed_memory
from perpixel.core.reporter import Plain
from perpixel.data.folders import open_dataset
from perpixel.data.scenes import SCENES, write_scenes
from perpixel.explain.plots import BLUE, GREEN, ORANGE, canvas, plain, save
from perpixel.explain.search import Inputs
from perpixel.infer import load
from perpixel.models import build
from perpixel.train import default_recipe, train

NETWORKS = ("drn_a_18", "drn_b_26", "drn_c_26")
SIZE, PERIOD = (120, 160), 4


def trained(name: str, seed: int, options: argparse.Namespace) -> Path:
    """The run of a network, trained unless it is there."""
    run: Path = options.out / f"{name}_{seed}"
    if not (run / "best").is_dir():
        changes = {
            "model.options": {"width": options.width},
            "data.path": str(options.out / "scenes"),
            "data.crop": SIZE,
            "steps": options.steps,
            "seed": seed,
            "channels_last": False,  # with it a thin DRN-B ends PyTorch 2.15 on a CPU ("double free")
        }
        train(default_recipe(name).changed(changes), run, Plain(every=60))
    return run


def levels(model: nn.Module) -> list[str]:
    """The trunk's levels whose maps have stride 8, where dilation begins, without the first of them."""
    trunk = model.get_submodule("trunk")
    return [f"trunk.levels.{n}" for n, stride in enumerate(trunk.strides) if stride == 8]  # type: ignore[arg-type]


def measure(model: nn.Module, images: Inputs, count: int) -> dict[str, float]:
    """The mean over images, by level."""
    found = [gridding_by_layer(model, images[n], levels(model), PERIOD) for n in range(count)]
    return {name: statistics.fmean(one[name] for one in found) for name in found[0]}


def figures(options: argparse.Namespace) -> dict[str, list[dict[str, object]]]:
    """For each network a row a seed: mIoU on the scenes kept aside, gridding trained and fresh, by level."""
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in NETWORKS}
    for seed in range(options.seeds):
        for name in NETWORKS:
            predictor = load(trained(name, seed, options), options.device)
            images = Inputs(predictor, open_dataset(options.out / "scenes").split("val"))
            torch.manual_seed(seed)
            fresh = build(name, num_classes=SCENES.num_classes, width=options.width).to(predictor.device).eval()
            count = min(options.images, len(images))
            assert predictor.info is not None
            row = {
                "mean_iou": predictor.info.metrics["mean_iou"],
                "trained": measure(predictor.model, images, count),
                "fresh": measure(fresh, images, count),
            }
            rows[name].append(row)
            print(name, seed, json.dumps(row), flush=True)
    return rows


def table(rows: dict[str, list[dict[str, object]]]) -> list[str]:
    """A Markdown table: the mean over seeds, and each seed's last map."""
    lines = ["| network | mIoU | gridding by level, mean over seeds | last map, by seed |", "|---|---|---|---|"]
    for name, found in rows.items():
        runs = [row["trained"] for row in found]
        means = {k: statistics.fmean(run[k] for run in runs) for k in runs[0]}  # type: ignore[index,attr-defined]
        score = statistics.fmean(row["mean_iou"] for row in found)  # type: ignore[misc]
        last = ", ".join(f"{list(run.values())[-1]:.3f}" for run in runs)  # type: ignore[attr-defined]
        lines.append(f"| `{name}` | {score:.3f} | {', '.join(f'{v:.3f}' for v in means.values())} | {last} |")
    return lines


def draw(rows: dict[str, list[dict[str, object]]], path: Path) -> None:
    """The curve through the levels, a line a seed."""
    figure = canvas(7.0, 4.0)
    axes = plain(figure.subplots(), "levels of stride 8, from the first", "gridding, 1 is none (period 4)")
    for (name, found), colour, mark in zip(rows.items(), (ORANGE, GREEN, BLUE), "os^", strict=True):
        for number, row in enumerate(found):
            values = list(row["trained"].values())  # type: ignore[attr-defined]
            axes.plot(range(1, len(values) + 1), values, f"{mark}-", color=colour, label=None if number else name)
    axes.set_xticks(range(1, 6))
    axes.legend(frameon=False)
    save(figure, path)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    keep_freed_memory()
    write_scenes(options.out / "scenes", train=160, val=40, size=SIZE)
    rows = figures(options)
    write_text(options.out / "figures.json", json.dumps(rows, indent=2) + "\n")
    draw(rows, options.out / "gridding.png")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
