"""Every network counted: what it is and what it costs, from its class and the docstring of its file.

`perpixel models` and docs/models.md show the committed counts (`perpixel.core.networks`), because counting builds every
network and follows its receptive fields, which takes most of a minute; tests count again and compare. `make models` brings all
up to date.
"""

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import torch

from perpixel import detection
from perpixel.analyze.costs import cost, output_stride
from perpixel.analyze.dry_run import blank
from perpixel.analyze.fields import Field, receptive_fields
from perpixel.analyze.maps import main_layers
from perpixel.core.errors import UserError
from perpixel.core.files import write_text
from perpixel.core.networks import COUNTED, FIELDS, NUM_CLASSES, SIZE, LayerField, Network
from perpixel.core.networks import DETECTORS as COUNTED_DETECTORS
from perpixel.detection import DETECTORS
from perpixel.models import MODELS, build

CITATION = re.compile(r'"([^"]+)",\s(?:[^".]*?\b((?:19|20)\d\d)\b|arXiv:(\d\d)\d\d\.)')
"""A title and its year, of the venue or else of the arXiv number, in a docstring on one line."""


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
        found, stride = cost(model, SIZE), output_stride(model, NUM_CLASSES, SIZE)
    except UserError as error:
        return Network(title, year, parameters, None, None, str(error))
    return Network(title, year, parameters, found.multiply_adds, stride)


def measure_fields(name: str) -> tuple[LayerField, ...]:
    """The receptive fields of the stages of a network of the catalog with its default options, "logits" last."""
    with torch.device("meta"):
        model = build(name, num_classes=NUM_CLASSES).eval()
    with torch.no_grad():
        layers = main_layers(model, blank(model, SIZE, 3))
    found = receptive_fields(model)
    return tuple(layer_field(one, found[one]) for one in (coarsest(layer, found) for layer in layers))


def coarsest(layer: str, found: Mapping[str, Field]) -> str:
    """The name under which a layer's field is, of one that gives several maps (finest first) the last one's."""
    return layer if layer in found else [name for name in found if name.startswith(f"{layer}[")][-1]


def layer_field(layer: str, field: Field) -> LayerField:
    """A field for the table: infinite is None.

    >>> layer_field("conv", Field((3, math.inf), (2.0, 1.0), (0.0, math.nan), "global: mean"))
    LayerField(layer='conv', size=(3, None), stride=(2.0, None), note='global: mean')
    """
    rows, columns = (None if math.isinf(side) else int(side) for side in field.size)
    down, right = (
        stride if math.isfinite(side) and math.isfinite(stride) else None
        for side, stride in zip(field.size, field.stride, strict=True)
    )
    return LayerField(layer, (rows, columns), (down, right), field.note)


def fields_text(fields: Mapping[str, Sequence[LayerField]]) -> str:
    """JSON with a line for each layer."""
    blocks = []
    for name, rows in fields.items():
        lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
        blocks.append(f"  {json.dumps(name)}: [\n    " + ",\n    ".join(lines) + "\n  ]")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def paper(name: str) -> tuple[str, int]:
    """Title and year: of the paper in the docstring of the network's file that is named like it, else of the first.

    >>> paper("bayesian_segnet")
    ('Bayesian SegNet', 2017)
    """
    return cited(MODELS[name], name)


def cited(network: Callable[..., object], name: str) -> tuple[str, int]:
    """`paper` of any network, from the file that it is in."""
    module = inspect.getmodule(network)
    text = " ".join((module.__doc__ if module and module.__doc__ else "").split())
    found = [(title, int(year or f"20{arxiv}")) for title, year, arxiv in CITATION.findall(text)]
    if not found:
        raise ValueError(f'{name}: its file\'s docstring needs a line such as: Authors, "Title", VENUE YEAR, arXiv:id')
    return next((f for f in found if _letters(f[0]) in _letters(name)), found[0])


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def measure_detector(name: str) -> Network:
    """Counts a detector with its default options and VOC's 20 classes."""
    with torch.device("meta"):
        model = detection.build(name, num_classes=20)
    title, year = cited(DETECTORS[name], name)
    return Network(
        title, year, sum(p.numel() for p in model.parameters()), None, None, "multiply-adds depend on the regions"
    )


def main() -> None:
    """Counts every network again and writes `models/networks.json`, `models/fields.json`, `detection/detectors.json`."""
    detectors = {name: asdict(measure_detector(name)) for name in DETECTORS}
    write_text(COUNTED_DETECTORS, json.dumps(detectors, indent=2, ensure_ascii=False) + "\n")
    rows = {name: asdict(measure_network(name)) for name in MODELS}
    write_text(COUNTED, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    write_text(FIELDS, fields_text({name: measure_fields(name) for name in MODELS}))


if __name__ == "__main__":
    main()
