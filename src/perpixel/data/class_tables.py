"""The tables of classes that tools write beside masks: what their values, or colours, mean.

class_names.txt     labelme (VOC layout): a name a line, the value is its place
labelmap.txt        CVAT (VOC layout): name:r,g,b:parts:actions
dataset_meta.json   Datumaro: label_map {value: name}, segmentation_colors
_classes.csv        Roboflow: "Pixel Value, Class"
config.json         Mapillary Vistas: labels with readable, color, evaluate
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perpixel.core.errors import UserError
from perpixel.core.json import read_json
from perpixel.core.masks import RawMask
from perpixel.core.text import read_lines
from perpixel.labels import Taxonomy


def class_table(folder: Path, mask: RawMask | None = None) -> Taxonomy | None:
    """The classes that a table in a folder tells, or None where there is no table.

    Args:
        folder: that may hold one.
        mask: one of the set's; a table that has both numbers and colours counts as the mask is written.

    Raises:
        UserError: a table that cannot be read.
    """
    for name, read in TABLES.items():
        file = folder / name
        if file.is_file() and (found := read(file)) is not None:
            try:
                return _taxonomy(found, mask is not None and mask.values.ndim == 3)
            except (UserError, TypeError, ValueError, KeyError) as error:
                raise UserError(f"{file}: no table of classes as it should be ({error})") from error
    return None


def _taxonomy(table: Mapping[str, Any], colours: bool) -> Taxonomy:
    """Classes {"name", "colour" or None, "value" or None, "ignore"}: by colour where the masks hold colours."""
    entries: list[Mapping[str, Any]] = table["classes"]
    by_colour = all(e["colour"] for e in entries) and (colours or any(e["value"] is None for e in entries))
    kept = [e for e in entries if not e["ignore"]]
    ignored = [e["colour"] if by_colour else e["value"] for e in entries if e["ignore"]]
    classes = [
        {"name": e["name"], "values": [e["colour"] if by_colour else e["value"]]}
        | ({"colour": e["colour"]} if e["colour"] else {})
        for e in kept
    ]
    return Taxonomy.from_dict({"classes": classes, **({"ignore": ignored} if ignored or by_colour else {})})


def _entry(name: Any, colour: Any = None, value: Any = None, ignore: bool = False) -> dict[str, Any]:
    return {
        "name": str(name).strip(),
        "colour": list(colour) if colour else None,
        "value": None if value is None else int(value),
        "ignore": ignore,
    }


def _class_names(file: Path) -> Mapping[str, Any]:
    names = [n.strip("_") for n in read_lines(file) if not n.startswith("__ignore")]
    return {"classes": [_entry(n, value=i) for i, n in enumerate(names)]}


def _label_map(file: Path) -> Mapping[str, Any]:
    rows = [r.split(":") for r in read_lines(file) if not r.startswith("#")]
    try:
        colours = {r[0]: [int(v) for v in r[1].split(",")] for r in rows}
    except (ValueError, IndexError) as error:
        raise UserError(f"{file}: expected lines such as road:128,64,128:: ({error})") from error
    return {"classes": [_entry(n, c, ignore=n in ("ignored", "ignore")) for n, c in colours.items()]}


def _datumaro(file: Path) -> Mapping[str, Any] | None:
    data = read_json(file)
    if not isinstance(data, Mapping) or not isinstance(data.get("label_map"), Mapping):
        return None
    named = sorted(((int(v), str(n)) for v, n in data["label_map"].items() if str(v).isdecimal()), key=lambda p: p[0])
    colours = data.get("segmentation_colors")
    known = colours if isinstance(colours, list) and len(colours) == len(named) else [None] * len(named)
    return {"classes": [_entry(n, c, v) for (v, n), c in zip(named, known, strict=True)]}


def _roboflow(file: Path) -> Mapping[str, Any] | None:
    rows = [[c.strip() for c in row] for row in csv.reader(read_lines(file))]
    if not rows or [c.lower() for c in rows[0]] != ["pixel value", "class"]:
        return None
    if strange := next((r for r in rows[1:] if len(r) != 2 or not r[0].isdecimal()), None):
        raise UserError(f'{file}: expected lines such as "1, cat", got {",".join(strange)[:60]!r}')
    return {"classes": [_entry(n, value=v) for v, n in rows[1:]]}


def _mapillary(file: Path) -> Mapping[str, Any] | None:
    data = read_json(file)
    labels = data.get("labels") if isinstance(data, Mapping) else None
    if not isinstance(labels, list) or not all(
        isinstance(e, Mapping) and {"name", "color"} <= e.keys() for e in labels
    ):
        return None
    entries = [
        _entry(e.get("readable") or e["name"], e["color"], i, ignore=e.get("evaluate") is False)
        for i, e in enumerate(labels)
    ]
    return {"classes": entries}


TABLES = {
    "class_names.txt": _class_names,
    "labelmap.txt": _label_map,
    "dataset_meta.json": _datumaro,
    "_classes.csv": _roboflow,
    "config.json": _mapillary,
}
"""Name of the file -> what reads it."""
