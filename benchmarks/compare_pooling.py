"""What pyramid pooling does: fast_scnn with and without it, trained alike for the same minutes, over several seeds, and compared.

    python benchmarks/compare_pooling.py CAMVID --out DIR --minutes 1.5 --seeds 0,1,2 [--set batch_size=16] [--device auto]

Both follow fast_scnn's default recipe from fresh weights, on a GPU where there is one; 2 x seeds x minutes in all. DIR/with-SEED
and DIR/without-SEED are the runs; a run that is there already is not trained again, so that the same command can be given
again. DIR/SEED has what `perpixel compare` writes of a pair, and DIR/figures.json the differences (with less without) of all
seeds, each with its interval over images. A difference is of the pooling only where it is so for every seed.

Measured on a GPU, three seeds: docs/why.md, "Two models compared".
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import perpixel
from perpixel.cli.train import assignments
from perpixel.core.files import write_text
from perpixel.core.reporter import Plain
from perpixel.explain.compare import compare_models, comparison_results
from perpixel.explain.setting import seen_in_training
from perpixel.report.compare_page import Pair, write_compare_page
from perpixel.train import train
from perpixel.train.recipe import default_recipe

VARIANTS = {"without": False, "with": True}


def train_one(variant: str, seed: int, given: argparse.Namespace) -> Path:
    run = Path(given.out) / f"{variant}-{seed}"
    if not (run / "best" / "model.json").is_file():
        changes = {"model.options": {"pyramid_pooling": VARIANTS[variant]}, "seed": seed}
        changes |= {"data.path": given.data, "minutes": given.minutes} | assignments(given.set)
        train(default_recipe("fast_scnn").changed(changes), run, Plain())
    return run


def compare_seed(seed: int, given: argparse.Namespace) -> dict[str, Any]:
    runs = [train_one(variant, seed, given) for variant in VARIANTS]
    first, second = (perpixel.load(run, given.device) for run in runs)
    dataset = perpixel.open_dataset(given.data)
    taxonomy = dataset.classes or first.taxonomy
    seen, _ = seen_in_training(dataset, taxonomy, "val")
    comparison = compare_models(first, second, dataset.split("val"), seen, taxonomy)
    results = comparison_results(comparison)
    folder = Path(given.out) / str(seed)
    folder.mkdir(exist_ok=True)
    write_text(folder / "compare.json", json.dumps(results, indent=1) + "\n")
    about = Pair("without pyramid pooling", "with pyramid pooling", dataset.name or dataset.root.name, "val")
    write_compare_page(folder / "compare.html", about, comparison, results, (first, second))
    return results


def table(found: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a figure, with the difference of every seed and how many of the intervals do not hold 0."""
    rows = []
    for each in zip(*(results["figures"] for results in found.values()), strict=True):
        differences = [f["difference"] for f in each]
        intervals = [f["interval"] for f in each]
        clear = sum(low is not None and (low > 0 or high < 0) for low, high in intervals)
        same = len({d > 0 for d in differences if d is not None}) == 1
        rows.append(
            {
                "name": each[0]["name"],
                "unit": each[0]["unit"],
                "without": [f["first"] for f in each],
                "with": [f["second"] for f in each],
                "differences": differences,
                "intervals": intervals,
                "clear": clear,
                "same_sign": same,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="fast_scnn with and without pyramid pooling.")
    parser.add_argument("data")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    found = {int(seed): compare_seed(int(seed), given) for seed in given.seeds.split(",")}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    rows = table(found)
    said = {"minutes": given.minutes, "device": device, "figures": rows}
    write_text(Path(given.out) / "figures.json", json.dumps(said, indent=1) + "\n")
    print(f"with less without pyramid pooling, {given.minutes:g} minutes each on {device}, seeds {given.seeds}")
    for row in rows:
        scale, digits = (1, 4) if row["unit"] == "IoU" else (100, 2)
        shown = ["-" if d is None else f"{d * scale:+.{digits}f}" for d in row["differences"]]
        print(f"{row['name']:18} {'  '.join(shown)}   {row['clear']} of {len(shown)} intervals without 0")


if __name__ == "__main__":
    main()
