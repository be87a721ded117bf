"""LabelMe: one JSON a picture, in which "shapes" are drawn in order, a later one over an earlier one.

Rule of pixels: labelme's own exporter draws with Pillow's ImageDraw (`PillowShape`): a circle by its centre and a point
of its edge, a line 10 pixels wide, a point as a disc of radius 5. A "mask" shape is a PNG whose corners are its points.
There are no holes: a hole is a later shape of another class, or of `_background_`. A group (`group_id`) makes one object
of several shapes and changes no pixel. `__ignore__` is ignored.

Classes: labels.txt beside the JSON files or one folder above (labelme's `--labels` file), else those that are drawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.text import read_lines
from perpixel.data.formats.annotations import Annotations, Drawing
from perpixel.data.formats.fields import class_name, need, points, size_of
from perpixel.data.formats.inline import png_mask, runs_of
from perpixel.data.formats.shapes import PillowShape, Shape

_LEAST = {"polygon": 3, "oriented_rectangle": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1}
_KINDS = {"oriented_rectangle": "polygon", "linestrip": "line"}
MAX_SHAPES = 10**6


def is_labelme(data: Any) -> bool:
    """Whether a JSON's contents are a LabelMe file."""
    return isinstance(data, Mapping) and isinstance(data.get("shapes"), list) and "imagePath" in data


def read(files: Mapping[Path, Any], root: Path) -> Annotations:
    """What LabelMe files (path: contents) say."""
    drawings = [_drawing(file, data) for file, data in files.items()]
    return Annotations(drawings, _names(root))


def _drawing(file: Path, data: Mapping[str, Any]) -> Drawing:
    name = need(data, "imagePath", str(file), str)
    size = size_of(data.get("imageHeight"), data.get("imageWidth"), f"{file}: imageHeight, imageWidth")
    shapes = need(data, "shapes", str(file), list)
    if len(shapes) > MAX_SHAPES:
        raise UserError(f"{file}: {len(shapes):,} shapes; {MAX_SHAPES:,} are the most")
    drawn = tuple(_shape(entry, size, f"{file}: shape {i}") for i, entry in enumerate(shapes))
    return Drawing(name, file, size, drawn)


def _shape(entry: Any, size: Size, where: str) -> tuple[str, Shape]:
    label = class_name(entry, "label", where)
    where = f'{where} ("{label[:40]}")'
    kind = entry.get("shape_type") or "polygon"
    corners = need(entry, "points", where, list)
    if kind == "mask":
        return label, _mask(entry, size, where)
    if not isinstance(kind, str) or kind not in _LEAST:
        raise UserError(f'{where}: a shape of type "{str(kind)[:40]}" is not read; known: {", ".join(_LEAST)}, mask')
    return label, PillowShape(_KINDS.get(kind, kind), points(corners, size, where, _LEAST[kind]))


def _mask(entry: Mapping[str, Any], size: Size, where: str) -> Shape:
    x, y = np.frombuffer(points(entry["points"], size, where, 2)).reshape(-1, 2)[0].round().astype(int)
    inside = png_mask(need(entry, "mask", where, str), where)
    return runs_of(inside, int(y), int(x))


def _names(root: Path) -> tuple[str, ...]:
    """labelme's list of labels, if there is one."""
    for folder in (root, root.resolve().parent):
        file = folder / "labels.txt"
        if file.is_file():
            names = read_lines(file)
            if folder == root or "__ignore__" in names or "_background_" in names:
                return tuple(names)
    return ()
