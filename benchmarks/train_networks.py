"""Trains several networks one after the other in a fixed time each, and writes their bundles and figures.

    python benchmarks/train_networks.py DATA --out DIR --minutes 9 enet erfnet fast_scnn
    python benchmarks/train_networks.py DATA --out DIR --minutes 60 --recipe recipes/camvid_realtime.yaml enet --set batch_size=16

Each network follows the recipe (its own default without one), from fresh weights, on a GPU where there is one. DIR/NETWORK is
the run with its bundle in best/; DIR/figures.json has for each the mIoU on val (dataset level, whole images, original size),
IoU a class, steps, epochs, images/s, seconds and the device. A network that fails is named there with its reason, and the others
go on; one that is there already is skipped, so that the same command can be given again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import perpixel
from perpixel.cli.train import assignments
from perpixel.core.files import write_text
from perpixel.core.reporter import Plain
from perpixel.train import load_recipe, train
from perpixel.train.recipe import Recipe, default_recipe


def recipe_for(network: str, arguments: argparse.Namespace) -> Recipe:
    base = load_recipe(arguments.recipe) if arguments.recipe else default_recipe(network)
    changes = {"model.name": network, "data.path": arguments.data, "minutes": arguments.minutes}
    return base.changed(changes | assignments(arguments.set))


def train_one(network: str, arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    trained = train(recipe_for(network, arguments), Path(arguments.out) / network, Plain())
    dataset = perpixel.open_dataset(arguments.data)
    predictor = perpixel.load(trained.run)
    measured = perpixel.evaluate(predictor, dataset.split("val"), predictor.taxonomy, ("confusion",))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    return {
        "mean_iou": measured.results["mean_iou"],
        "iou": measured.results["iou"],
        "pixel_accuracy": measured.results["pixel_accuracy"],
        "steps": trained.steps,
        "seconds": round(time.monotonic() - began),
        "device": device,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Train several networks, each in a fixed time.")
    parser.add_argument("data")
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    file = Path(arguments.out) / "figures.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    for network in arguments.networks:
        if "mean_iou" in figures.get(network, {}):
            continue
        try:
            figures[network] = train_one(network, arguments)
        except (perpixel.UserError, RuntimeError) as error:
            figures[network] = {"failed": str(error).splitlines()[0]}
        print(network, json.dumps(figures[network]), flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
