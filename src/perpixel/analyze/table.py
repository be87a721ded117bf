"""Every network in one table: what it is, what it costs, and how well it did here.

Two files in the package say it all: `models/networks.json`, counted by this module, and `models/measured.json`, written by
hand from runs. `perpixel models` and docs/models.md show the two. They read the committed counts, because counting builds
every network, which takes a quarter of a minute; a test counts again and compares. `make models` brings both up to date.
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import perpixel
from perpixel.analyze.cost import count, output_stride
from perpixel.core.errors import UserError
from perpixel.core.files import write_text
from perpixel.models import MODELS, build

COUNTED = Path(perpixel.__file__).parent / "models" / "networks.json"
MEASURED = COUNTED.with_name("measured.json")
NUM_CLASSES, SIZE = 19, (512, 512)
"""What is counted: Cityscapes' classes, one RGB image of this size."""
CITATION = re.compile(r'"([^"]+)",\s(?:[^".]*?\b((?:19|20)\d\d)\b|arXiv:(\d\d)\d\d\.)')
"""A title and its year, of the venue or else of the arXiv number, in a docstring on one line."""


@dataclass(frozen=True)
class Network:
    """One row. multiply_adds None: not counted, for the reason in `note`; output_stride None: no such map."""

    paper: str
    year: int
    parameters: int
    multiply_adds: int | None
    output_stride: int | None
    note: str = ""


@dataclass(frozen=True)
class Measurement:
    """What a network reached here: IoU and accuracy in [0, 1], over a split, by which command, where, in how long."""

    dataset: str
    split: str
    size: str
    mean_iou: float
    pixel_accuracy: float
    command: str
    hardware: str
    minutes: float


def measure_network(name: str) -> Network:
    """Counts a network of the catalog with its default options.

    Raises:
        ValueError: the docstring of its file has no citation (`Authors, "Title", VENUE YEAR, arXiv:...`).
    """
    with torch.device("meta"):
        model = build(name, num_classes=NUM_CLASSES)
    parameters = sum(p.numel() for p in model.parameters())
    title, year = paper(name)
    try:
        cost, stride = count(model, SIZE), output_stride(model, NUM_CLASSES, SIZE)
    except UserError as error:
        return Network(title, year, parameters, None, None, str(error))
    return Network(title, year, parameters, cost.multiply_adds, stride)


def paper(name: str) -> tuple[str, int]:
    """Title and year: of the paper in the docstring of the network's file that is named like it, else of the first.

    >>> paper("bayesian_segnet")
    ('Bayesian SegNet', 2017)
    """
    module = inspect.getmodule(MODELS[name])
    text = " ".join((module.__doc__ if module and module.__doc__ else "").split())
    found = [(title, int(year or f"20{arxiv}")) for title, year, arxiv in CITATION.findall(text)]
    if not found:
        raise ValueError(f'{name}: its file\'s docstring needs a line such as: Authors, "Title", VENUE YEAR, arXiv:id')
    return next((f for f in found if _letters(f[0]) in _letters(name)), found[0])


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def read_networks() -> dict[str, Network]:
    """The committed counts, by name."""
    return {name: Network(**row) for name, row in json.loads(COUNTED.read_text(encoding="utf-8")).items()}


def read_measured() -> dict[str, Measurement]:
    """What was measured, by the network's name; most are not there."""
    return {name: Measurement(**row) for name, row in json.loads(MEASURED.read_text(encoding="utf-8")).items()}


def giga(multiply_adds: int | None) -> str:
    """In 10^9, three digits or all before the point.

    >>> giga(838_885_376), giga(190_243_910_032), giga(2_319_266_217_984), giga(None)
    ('0.839 G', '190 G', '2,319 G', 'not counted')
    """
    if multiply_adds is None:
        return "not counted"
    billions = multiply_adds / 1e9
    return f"{billions:,.0f} G" if billions >= 1000 else f"{billions:.3g} G"


def camvid(measured: Mapping[str, Measurement], name: str) -> str:
    """The measured mIoU on CamVid and the split, or that there is none."""
    found = measured.get(name)
    return f"{found.mean_iou:.3f} ({found.split})" if found and found.dataset == "CamVid" else "not measured"


HEAD = f"""# The networks

Written by `make models` from `src/perpixel/models/networks.json` (counted) and `src/perpixel/models/measured.json` (runs):
change neither this page nor the first file by hand. `perpixel models` shows the same.

- Default options, {NUM_CLASSES} classes, RGB. How each differs from its paper is in its file in `src/perpixel/models/`.
- Parameters: all weights, fixed ones too. A test holds each count to the authors' code where that could be counted.
- Multiply-adds: one image of {SIZE[0]}x{SIZE[1]}, in 10^9; convolutions, linear layers and matrix products. "FLOPs" are twice
  as many. Borders that a network adds by itself count (U-Net, FCN and the dilated networks add wide ones).
  DecoupledNet passes once for each class that it sees: counted as if it saw all.
- Stride: image pixels a side for one place of the map on which scores are computed, before the last fixed upsampling.
- How a network is trained by its paper: its recipe in `recipes/`, with the published figure.
- CamVid mIoU: dataset-level, over 11 classes, [as here defined](miou.md), trained on the train split alone.

| network | paper | year | parameters | multiply-adds | stride | CamVid mIoU |
|---|---|---|---|---|---|---|
"""
RUNS = """
## What was measured

| network | data | mIoU | pixel accuracy | command | hardware | minutes |
|---|---|---|---|---|---|---|
"""


def markdown() -> str:
    """The page docs/models.md."""
    networks, measured = read_networks(), read_measured()
    rows = [
        f"| `{name}` | {n.paper} | {n.year} | {n.parameters:,} | {giga(n.multiply_adds)} | {n.output_stride or '-'} "
        f"| {camvid(measured, name)} |"
        for name, n in networks.items()
    ]
    runs = [
        f"| `{name}` | {m.dataset} {m.split}, {m.size} | {m.mean_iou:.4f} | {m.pixel_accuracy:.4f} | `{m.command}` "
        f"| {m.hardware} | {m.minutes:g} |"
        for name, m in measured.items()
    ]
    notes = [f"\n`{name}`: {n.note}.\n" for name, n in networks.items() if n.note]
    return HEAD + "\n".join(rows) + "\n" + "".join(notes) + RUNS + "\n".join(runs) + "\n"


def main() -> None:
    """Counts every network again and writes `models/networks.json`."""
    rows = {name: asdict(measure_network(name)) for name in MODELS}
    write_text(COUNTED, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
