"""What `perpixel models` shows of the networks: lines for a terminal, and the page docs/models.md."""

from collections.abc import Mapping, Sequence

from perpixel.core.networks import (
    NUM_CLASSES,
    SIZE,
    LayerField,
    Measurement,
    read_detectors,
    read_fields,
    read_measured,
    read_networks,
)


def lines() -> list[str]:
    """A heading and a line for each network."""
    layout = "{:<22} {:>11} {:>13} {:>6}  {:<13} {}"
    measured = read_measured()
    heading = [
        f"segmentation: {NUM_CLASSES} classes; multiply-adds of one image of {SIZE[0]}x{SIZE[1]}; stride of the map of scores",
        layout.format("network", "parameters", "multiply-adds", "stride", "CamVid mIoU", "paper"),
    ]
    return heading + [
        layout.format(
            name,
            f"{n.parameters:,}",
            giga(n.multiply_adds),
            n.output_stride or "-",
            camvid(measured, name),
            f"{n.year} {n.paper}",
        )
        for name, n in read_networks().items()
    ]


def detector_lines() -> list[str]:
    """A heading and a line for each detector."""
    layout = "{:<22} {:>11}  {}"
    rows = [layout.format(name, f"{n.parameters:,}", f"{n.year} {n.paper}") for name, n in read_detectors().items()]
    return ["detection: 20 classes of objects", layout.format("detector", "parameters", "paper"), *rows]


def field_lines() -> list[str]:
    """A heading and a line for each network: the logits' receptive field, and those of its stages."""
    layout = "{:<22} {:>6}  {}"
    heading = (
        "receptive fields in theory: sides in pixels, of stages with the stride; all: the whole image, however large"
    )
    rows = [layout.format(name, side(fields[-1]), stages(fields)) for name, fields in read_fields().items()]
    return [heading, layout.format("network", "logits", "stages"), *rows]


def side(field: LayerField) -> str:
    """One number where rows and columns are alike.

    >>> side(LayerField("a", (9, 9), (2.0, 2.0))), side(LayerField("b", (9, None), (2.0, None)))
    ('9', '9 x all')
    """
    rows, columns = ("all" if s is None else str(s) for s in field.size)
    return rows if rows == columns else f"{rows} x {columns}"


def stages(fields: Sequence[LayerField]) -> str:
    """Every layer but the last with its side and stride.

    >>> whole = (None, None)
    >>> stages([LayerField("stem", (7, 7), (2.0, 2.0)), LayerField("pool", whole, whole), LayerField("logits", whole, whole)])
    'stem 7/2, pool all'
    """
    return ", ".join(f"{f.layer} {side(f)}" + (f"/{f.stride[0]:g}" if f.stride[0] else "") for f in fields[:-1])


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

Written by `make models` from `src/perpixel/models/networks.json` and `fields.json` (counted) and `src/perpixel/models/measured.json`
(runs): change neither this page nor the first two by hand. `perpixel models` shows the same, `perpixel models NAME --size 720x1280`
what one network costs at any size, layer by layer.

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
FIELDS = """
## Receptive fields

In theory, exact, in pixels a side ([how, and what is really used](why.md)). Stages: side/stride, in the order in which they
run; of a stage that gives several maps the coarsest. "all": the whole image, however large. `perpixel models --fields` shows the
same, `perpixel models NAME --fields` every layer.

| network | logits | stages | the whole image by |
|---|---|---|---|
"""
DETECTORS = """
## Detectors

Networks that find objects and draw a box around each ([how](detection.md)): the same verbs, on the same folders. Default
options, 20 classes as in VOC. Multiply-adds depend on the regions and are not counted.

| detector | paper | year | parameters |
|---|---|---|---|
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
    detectors = [f"| `{k}` | {n.paper} | {n.year} | {n.parameters:,} |" for k, n in read_detectors().items()]
    notes = [f"\n`{name}`: {n.note}.\n" for name, n in networks.items() if n.note]
    fields = [
        f"| `{name}` | {side(found[-1])} | {stages(found)} | {found[-1].note.removeprefix('global: ')} |"
        for name, found in read_fields().items()
    ]
    tables = [
        HEAD + "\n".join(rows) + "\n" + "".join(notes),
        FIELDS + "\n".join(fields) + "\n",
        DETECTORS + "\n".join(detectors) + "\n",
        RUNS + "\n".join(runs) + "\n",
    ]
    return "".join(tables)
