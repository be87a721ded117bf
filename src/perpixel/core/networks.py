"""What is known of every network, read from files of the package, without building one and without torch.

`models/networks.json`, `models/fields.json` and `detection/detectors.json` are counted (`make models`,
`perpixel.analyze.table`), `models/measured.json` is written by hand from runs.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import perpixel

COUNTED = Path(perpixel.__file__).parent / "models" / "networks.json"
FIELDS = COUNTED.with_name("fields.json")
MEASURED = COUNTED.with_name("measured.json")
DETECTORS = COUNTED.parent.with_name("detection") / "detectors.json"
NUM_CLASSES, SIZE = 19, (512, 512)
"""What is counted: Cityscapes' classes, one RGB image of this size."""


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
class LayerField:
    """A layer's receptive field in theory, (rows, columns) in pixels of the image.

    size: None for a side that is the whole image, however large; stride: from unit to unit, None there. note: why it is.
    """

    layer: str
    size: tuple[int | None, int | None]
    stride: tuple[float | None, float | None]
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


def read_networks() -> dict[str, Network]:
    """The committed counts, by name."""
    return {name: Network(**row) for name, row in json.loads(COUNTED.read_text(encoding="utf-8")).items()}


def read_detectors() -> dict[str, Network]:
    """The committed counts of the detectors, with 20 classes as in VOC."""
    return {name: Network(**row) for name, row in json.loads(DETECTORS.read_text(encoding="utf-8")).items()}


def read_fields() -> dict[str, tuple[LayerField, ...]]:
    """The committed fields of each network's stages, in the order in which they run, "logits" last."""
    return {
        name: tuple(map(_layer_field, rows)) for name, rows in json.loads(FIELDS.read_text(encoding="utf-8")).items()
    }


def _layer_field(row: dict[str, Any]) -> LayerField:
    return LayerField(row["layer"], tuple(row["size"]), tuple(row["stride"]), row.get("note", ""))


def is_detector(name: str) -> bool:
    """Whether a network's task is to find objects, and not to segment."""
    return name in read_detectors()


def read_measured() -> dict[str, Measurement]:
    """What was measured, by the network's name; most are not there."""
    return {name: Measurement(**row) for name, row in json.loads(MEASURED.read_text(encoding="utf-8")).items()}
