"""Which idea pays, at equal cost: networks of the catalog trained alike from fresh weights, measured on a scene that none has seen.

    python benchmarks/zoo.py CAMVID --out DIR [--minutes 3] [--fold 0006R0] [--seed 0] [--networks NETWORK ...]
    python benchmarks/zoo.py CAMVID --out DIR --table

Every network has the same recipe (recipes/camvid_realtime.yaml), the same data (all groups but the fold, less one frame in five)
and the same minutes of one core's work: the clock counts processor time, so that what else the machine does costs nothing. Those
too large for that are narrowed by their own options to at most about 2.5 G multiply-adds a crop; the rest is the paper's.
DIR/NETWORK-SEED.json holds the figures; what is there already is skipped. `--table` prints them as docs/zoo.md has them.
"""

import argparse
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

import perpixel
from leave_one_out import groups_of, write_fold
from perpixel.core.files import write_text
from perpixel.core.reporter import Plain
from perpixel.train import load_recipe, loop, run, train

RECIPE = "recipes/camvid_realtime.yaml"
GROUP = r"^(?:.*/)?([^_/]+)_"
RARE = ("pole", "sign symbol")

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "fast_scnn": ("fast_scnn", {}),
    "enet": ("enet", {}),
    "erfnet": ("erfnet", {}),
    "unet": ("unet", {"width": 16, "padding": "same", "norm": "batch"}),
    "segnet": ("segnet", {"width": 16}),
    "segnet_basic": ("segnet_basic", {"width": 24}),
    "fcn8s": ("fcn8s", {"width": 16, "padding": "same"}),
    "dilation8": ("dilation8", {"width": 8}),
    "drn_c_26": ("drn_c_26", {"width": 0.375}),
    "deeplabv3": ("deeplabv3", {"width": 16}),
    "deeplabv3plus": ("deeplabv3plus", {"width": 0.5}),
    "pspnet": ("pspnet", {"width": 16}),
    "encnet": ("encnet", {"width": 16}),
    "parsenet": ("parsenet", {"width": 20}),
    "hrnet_w18_small_v2": ("hrnet_w18_small_v2", {}),
    "segformer": ("segformer", {}),
    "fpn": ("fpn", {"encoder": "tf_efficientnet_lite0"}),
    "multi_scale": ("multi_scale", {}),
}
"""Name -> network and its options."""


def count_work() -> None:
    """Makes the clock of training that of this process's work."""
    clock = SimpleNamespace(monotonic=time.process_time)
    loop.time = run.time = clock  # type: ignore[attr-defined]


def train_one(name: str, file: Path, given: argparse.Namespace, out: Path) -> dict[str, Any]:
    network, options = VARIANTS[name]
    changes = {"model.name": network, "model.options": options, "data.path": str(file), "epochs": None}
    changes |= {"minutes": given.minutes, "seed": given.seed, "data.val_split": "none"}
    trained = train(load_recipe(RECIPE).changed(changes), out / f"{name}-{given.seed}", Plain())
    predictor, dataset = perpixel.load(str(trained.run)), perpixel.open_dataset(str(file))
    figures: dict[str, Any] = {"network": network, "options": options, "seed": given.seed, "minutes": given.minutes}
    figures |= {"steps": trained.steps, "parameters": sum(p.numel() for p in predictor.model.parameters())}
    figures["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu, one thread"
    for split in ("neighbours", "new_scene"):
        found = perpixel.evaluate(predictor, dataset.split(split), predictor.taxonomy, ("confusion",)).results
        iou = dict(zip(predictor.taxonomy.names, found["iou"], strict=True))
        figures[split] = {"images": len(dataset.split(split)), "mean_iou": found["mean_iou"], "iou": iou}
    return figures


def table(out: Path) -> str:
    """A row a network, the best on the new scene first."""
    found = [json.loads(file.read_text()) for file in sorted(out.glob("*-*.json"))]
    known = sorted((f for f in found if "new_scene" in f), key=lambda f: -f["new_scene"]["mean_iou"])
    rows = [
        "| network | options | parameters | steps | new scene | neighbours | pole | sign |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for f in known:
        options = ", ".join(f"{k} {v}" for k, v in f["options"].items()) or "the paper's"
        new, near = f["new_scene"], f["neighbours"]
        rare = " | ".join(f"{new['iou'][c]:.3f}" for c in RARE)
        rows.append(
            f"| `{f['network']}` | {options} | {f['parameters']:,} | {f['steps']:,} | {new['mean_iou']:.3f} "
            f"| {near['mean_iou']:.3f} | {rare} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Networks trained alike, at equal cost.")
    parser.add_argument("data")
    parser.add_argument("--networks", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=3.0, help="of one core's work")
    parser.add_argument("--fold", default="0006R0", help="the group that is kept aside")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    data, out = Path(given.data).resolve(), Path(given.out).resolve()
    if given.table:
        print(table(out))
        return
    count_work()
    torch.set_num_threads(1)
    file = out / given.fold / "dataset.yaml"
    write_fold(data, groups_of(perpixel.open_dataset(str(data)), GROUP), given.fold, file)
    for name in given.networks or VARIANTS:
        result = out / f"{name}-{given.seed}.json"
        if result.exists():
            continue
        figures = train_one(name, file, given, out)
        write_text(result, json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
