"""Gridding of small DRN-A, B and C, trained alike: of the maps of scenes, and of the answer to one strong value.

    python benchmarks/drn_gridding.py --out DIR [--width 0.25] [--steps 300] [--seeds 3] [--images 20] [--device auto]

The data are synthetic scenes of perpixel's own (160 to train, 40 to judge, 120 x 160 pixels), the recipe the default one but for
steps and the order of values in memory. Each network is trained from fresh weights, on a GPU where there is one, so many
times with other seeds. Maps: the number of `perpixel.analyze.gridding` for each level of the trunk on scenes kept aside, with
the period 4, the largest dilation of all three. Answers: one place of the map in front of the dilated levels gets values in
[0, 1], and by how much it changes the last map, mean over channels and draws; "even" is the mean over the places an even number
of rows and columns away, by that over all others: 1 without a grid. Beside the trained networks stand fresh ones.
DIR/figures.json and DIR/gridding.png are written; what is trained already is not trained again.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from perpixel.analyze.gridding import gridding_by_layer
from perpixel.core.files import write_text
from perpixel.core.memory import keep_freed_memory
from perpixel.core.reporter import Plain
from perpixel.data.folders import open_dataset
from perpixel.data.scenes import SCENES, write_scenes
from perpixel.explain.plots import canvas, save
from perpixel.explain.search import Inputs
from perpixel.infer import load
from perpixel.models import build
from perpixel.train import default_recipe, train

NETWORKS = ("drn_a_18", "drn_b_26", "drn_c_26")
SIZE, PERIOD, MAP = (120, 160), 4, 48


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


def answer(trunk: nn.Module, draws: int = 3) -> Tensor:
    """(48, 48): how much a value in the middle changes the last map."""
    first = [n for n, stride in enumerate(trunk.strides) if stride == 8][1]  # type: ignore[arg-type]
    levels = nn.Sequential(*list(trunk.levels)[first:])  # type: ignore[arg-type]
    total, plain_map = torch.zeros(MAP, MAP), torch.zeros(1, next(levels.parameters()).shape[1], MAP, MAP)
    for seed in range(draws):
        value = torch.rand(plain_map.shape[1], generator=torch.Generator().manual_seed(seed))
        excited = plain_map.clone()
        excited[0, :, MAP // 2, MAP // 2] = value
        with torch.no_grad():
            total += (levels(excited) - levels(plain_map)).abs().mean(dim=(0, 1)) / draws
    return total


def even_to_others(change: Tensor) -> float:
    """The mean over the places an even number of rows and columns from the middle, by that over all others."""
    away = (torch.arange(MAP) - MAP // 2) % 2 == 0
    even = away[:, None] & away[None]
    return float(change[even].mean() / change[~even].mean())


def figures(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """For each network a row a seed: mIoU on the scenes kept aside, gridding trained and fresh, by level."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in NETWORKS}
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
                "even": even_to_others(answer(predictor.model.trunk.cpu())),  # type: ignore[union-attr,operator]
                "even_fresh": even_to_others(answer(fresh.trunk.cpu())),  # type: ignore[union-attr,operator]
            }
            rows[name].append(row)
            print(name, seed, json.dumps(row), flush=True)
    return rows


def table(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A Markdown table: means over seeds, and each seed's own."""
    lines = [
        "| network | mIoU | maps, by level | answers: even / other places, by seed | fresh |",
        "|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        runs = [row["trained"] for row in found]
        means = ", ".join(f"{statistics.fmean(run[k] for run in runs):.3f}" for k in runs[0])
        score = statistics.fmean(row["mean_iou"] for row in found)
        even, fresh = (", ".join(f"{row[key]:.1f}" for row in found) for key in ("even", "even_fresh"))
        lines.append(f"| `{name}` | {score:.3f} | {means} | {even} | {fresh} |")
    return lines


def draw(options: argparse.Namespace, rows: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """The answers of the first seed's networks, the root of them, so that the faint shows."""
    figure = canvas(8.6, 3.2)
    for axes, name in zip(figure.subplots(1, len(NETWORKS)), NETWORKS, strict=True):
        change = answer(load(trained(name, 0, options), "cpu").model.trunk)  # type: ignore[arg-type]
        shown = axes.imshow((change / change.max()).sqrt(), cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(f"{name}: even / other places {rows[name][0]['even']:.1f}", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    bar = figure.colorbar(shown, ax=figure.axes, shrink=0.8)
    bar.set_label("root of the change, of the most", fontsize=9)
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
    draw(options, rows, options.out / "gridding.png")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
