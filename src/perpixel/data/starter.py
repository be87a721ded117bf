"""A dataset.yaml to start from, for a folder that has none."""

from typing import Any

import yaml

from perpixel.core.image import NO_NUMBER
from perpixel.data.check import Checked
from perpixel.data.meaning import Meaning, show
from perpixel.data.patterns import proposal
from perpixel.data.samples import Dataset
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Colour, Value, default_colours, plain_value, tell_apart

VOC_BORDER = (224, 224, 192)
"""Entry 255 of VOC's palette, which its masks have along the borders of objects."""

_HEAD = """\
# The classes of this data set; rename, merge (several values in one class) or move values to "ignore".
# Images, masks and splits are found by the folder's layout ({layout}). To say it yourself, add for example:
#   images: images
#   masks: masks
#   splits: {{train: train.txt, val: val.txt}}
"""
_PAIRED = """\
# No image has a mask of its name; this pattern pairs them. Then run perpixel check again for the classes.
images: {0}
masks: {1}
"""
_UNNAMED = """\
# The masks do not say what their values mean: give each class its real name.
"""


def starter(checked: Checked) -> str | None:
    """The text of a dataset.yaml that reads this data as it was checked, or None if its masks must be repaired first.

    Where the values have no known meaning each becomes a class named by its value.
    """
    meaning, dataset = checked.meaning, checked.dataset
    if meaning.taxonomy is not None:
        entries = _by_colour(meaning, meaning.taxonomy) or meaning.taxonomy.to_dict()
    elif meaning.needs_names:
        entries = _unnamed(meaning)
    else:
        return _patterns(dataset)
    head = _HEAD.format(layout=dataset.layout) + _UNNAMED * meaning.needs_names
    lines = [f"name: {_flow(dataset.name)}", f"licence: {_flow(dataset.licence)}", "classes:"]
    lines += [f"  - {_flow(entry)}" for entry in entries["classes"]]
    return head + "\n".join([*lines, f"ignore: {_flow(entries['ignore'])}"]) + "\n"


def _patterns(dataset: Dataset) -> str | None:
    """Where no names agree: the patterns that would pair them."""
    seen = proposal(dataset.root, dataset.unpaired) if not any(dataset.splits.values()) else None
    return _PAIRED.format(*(_flow(p) for p in seen)) if seen else None


def _by_colour(meaning: Meaning, taxonomy: Taxonomy) -> dict[str, Any] | None:
    """Classes that a layout numbers, given by their colours, for masks that hold exactly those colours."""
    found = {v for v in meaning.values.pixels if isinstance(v, tuple)} - {VOC_BORDER}
    if taxonomy.uses_colours or not found or len(found) < len(meaning.values.pixels.keys() - {VOC_BORDER}):
        return None
    if not found <= set(taxonomy.colours) or len(set(taxonomy.colours)) < taxonomy.num_classes:
        return None
    ignore = [list(VOC_BORDER)] if VOC_BORDER in meaning.values.pixels else []
    classes = zip(taxonomy.names, taxonomy.colours, strict=True)
    return {"classes": [{"name": n, "colour": list(c), "values": [list(c)]} for n, c in classes], "ignore": ignore}


def _unnamed(meaning: Meaning) -> dict[str, Any]:
    values = sorted(meaning.values.pixels, key=lambda v: v if isinstance(v, tuple) else (v,))
    ignore: list[Value] = (
        [255] if 255 in values and all(isinstance(v, int) and (v < 64 or v == 255) for v in values) else []
    )
    ignore += [NO_NUMBER] if NO_NUMBER in values else []
    classes = [v for v in values if v not in ignore]
    colours = [_colour(v, meaning, c) for v, c in zip(classes, default_colours(len(classes)), strict=True)]
    colours = colours if tell_apart(colours) else list(default_colours(len(classes)))
    return {
        "classes": [
            {"name": f"class {show(v)}", "colour": list(c), "values": [plain_value(v)]}
            for v, c in zip(classes, colours, strict=True)
        ],
        "ignore": [plain_value(v) for v in ignore],
    }


def _colour(value: Value, meaning: Meaning, default: Colour) -> Colour:
    if isinstance(value, tuple):
        return value
    if meaning.palette is None or not 0 <= value < len(meaning.palette):
        return default
    r, g, b = meaning.palette[value]
    return (int(r), int(g), int(b))


def _flow(item: Any) -> str:
    """One line of YAML."""
    text = yaml.safe_dump(item, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("...").strip()
