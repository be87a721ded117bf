"""What a new scene costs: a network trained on all groups of a set but one, measured on the one and on neighbours of its own.

    python benchmarks/leave_one_out.py CAMVID --out DIR --model enet --steps 4155,1602 [--fold 0016E5] [--seed 1]

The group of a frame is what `--group` finds in its name, for CamVid the sequence: 0001TP_006690 is of 0001TP. The frames of
train and val are put together. For each group a network trains on four fifths of the others' frames, by the recipe of each
stage, and is measured on the fifth that it has not seen ("neighbours") and on the group left out ("new scene"). Nothing is
chosen by either: the last weights are kept. DIR/GROUP-SEED.json holds the figures; what is there already is skipped.
"""

import argparse
import hashlib
import json
import re
import time
from pathlib import Path

import torch
import yaml

import perpixel
from perpixel.core.files import write_text
from perpixel.core.reporter import Plain
from perpixel.data.samples import Dataset
from perpixel.train import load_recipe, train

RECIPES = ("recipes/camvid_realtime.yaml", "recipes/camvid_realtime_fine.yaml")


def groups_of(dataset: Dataset, pattern: str) -> dict[str, list[str]]:
    """The names of all samples by group."""
    found: dict[str, list[str]] = {}
    for samples in dataset.splits.values():
        for sample in samples:
            match = re.search(pattern, sample.name)
            assert match, f"{pattern} finds nothing in {sample.name}"
            found.setdefault(match[1], []).append(sample.name)
    return found


def neighbour(name: str) -> bool:
    """Whether a frame is kept aside from training: one in five, by a hash of its name."""
    return hashlib.sha256(name.encode()).digest()[0] < 51


def write_fold(data: Path, groups: dict[str, list[str]], left_out: str, file: Path) -> None:
    """One folder of links, images/ and masks/, and a dataset.yaml with three lists."""
    names = {g: [Path(n).name for n in sorted(group)] for g, group in groups.items()}
    others = [n for g, group in names.items() if g != left_out for n in group]
    for split in ("train", "val"):
        for kind, ours in ((split, "images"), (f"{split}annot", "masks")):
            (file.parent / ours).mkdir(parents=True, exist_ok=True)
            for path in (data / kind).iterdir():
                link = file.parent / ours / path.name
                if not link.exists():
                    link.symlink_to(path.resolve())
    taxonomy = perpixel.open_dataset(str(data)).taxonomy
    assert taxonomy
    splits = {
        "train": [n for n in others if not neighbour(n)],
        "neighbours": [n for n in others if neighbour(n)],
        "new_scene": names[left_out],
    }
    content = {
        "name": f"camvid without {left_out}",
        "licence": "research, non-commercial",
        "splits": splits,
        "classes": [{"name": n, "values": i} for i, n in enumerate(taxonomy.names)],
        "ignore": [11],
    }
    write_text(file, yaml.safe_dump(content, sort_keys=False))


def main() -> None:
    parser = argparse.ArgumentParser(description="What a new scene costs.")
    parser.add_argument("data")
    parser.add_argument("--out", required=True)
    parser.add_argument("--model", default="enet")
    parser.add_argument("--steps", default="4155,1602", help="of each stage")
    parser.add_argument("--minutes", help="of each stage, instead of steps")
    parser.add_argument("--group", default=r"^(?:.*/)?([^_/]+)_")
    parser.add_argument("--fold", help="this group alone")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data, out = Path(given.data).resolve(), Path(given.out).resolve()
    unit = "minutes" if given.minutes else "steps"
    lengths = (
        [float(m) for m in given.minutes.split(",")] if given.minutes else [int(s) for s in given.steps.split(",")]
    )
    groups = groups_of(perpixel.open_dataset(str(data)), given.group)
    for left_out in [given.fold] if given.fold else sorted(groups):
        result = out / f"{left_out}-{given.seed}.json"
        if result.exists():
            continue
        file = out / left_out / "dataset.yaml"
        write_fold(data, groups, left_out, file)
        began, run = time.monotonic(), ""
        stages = []
        for stage, (recipe, length) in enumerate(zip(RECIPES, lengths, strict=False)):
            changes = {"model.name": given.model, "data.path": str(file), "epochs": None, unit: length}
            changes |= {"seed": given.seed, "init": run or None}
            trained = train(load_recipe(recipe).changed(changes), out / f"{left_out}-{given.seed}-{stage}", Plain())
            stages.append(trained.steps)
            run = str(trained.run)
        predictor, dataset = perpixel.load(run), perpixel.open_dataset(str(file))
        figures: dict[str, object] = {"left_out": left_out, "seed": given.seed, "model": given.model, "steps": stages}
        figures["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        for split in ("neighbours", "new_scene"):
            found = perpixel.evaluate(predictor, dataset.split(split), predictor.taxonomy, ("confusion",)).results
            figures[split] = {"images": len(dataset.split(split)), "mean_iou": found["mean_iou"], "iou": found["iou"]}
        figures["seconds"] = round(time.monotonic() - began)
        write_text(result, json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
