"""Cityscapes' polygons (`*_gtFine_polygons.json`): one JSON a picture, drawn in order as cityscapesScripts draws them.

Rule of pixels: Pillow's ImageDraw, a later object over an earlier one. "cargroup" counts as car; deleted objects are not drawn.
Classes are the 19 that are evaluated; the other names of the set, and pixels of no object, are ignored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perpixel.core.errors import UserError
from perpixel.data.formats.annotations import Annotations, Drawing
from perpixel.data.formats.fields import class_name, need, points, size_of
from perpixel.data.formats.shapes import PillowShape, Shape
from perpixel.labels import CITYSCAPES

NOT_EVALUATED = (
    "unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, parking, rail track, guard rail, "
    "bridge, tunnel, polegroup, caravan, trailer, license plate"
).split(", ")
MAX_OBJECTS = 10**6


def is_cityscapes(data: Any) -> bool:
    """Whether a JSON's contents are polygons of Cityscapes."""
    return isinstance(data, Mapping) and {"imgHeight", "imgWidth", "objects"} <= data.keys()


def read(files: Mapping[Path, Any], root: Path) -> Annotations:
    """What polygon files (path: contents) say."""
    colours = dict(zip(CITYSCAPES.names, CITYSCAPES.colours, strict=True))
    drawings = [_drawing(file, data) for file, data in files.items()]
    return Annotations(drawings, CITYSCAPES.names, rest=None, colours=colours)


def _drawing(file: Path, data: Mapping[str, Any]) -> Drawing:
    size = size_of(data["imgHeight"], data["imgWidth"], f"{file}: imgHeight, imgWidth")
    objects = need(data, "objects", str(file), list)
    if len(objects) > MAX_OBJECTS:
        raise UserError(f"{file}: {len(objects):,} objects; {MAX_OBJECTS:,} are the most")
    shapes = list[tuple[str, Shape]]()
    for i, entry in enumerate(objects):
        where = f"{file}: object {i}"
        name = class_name(entry, "label", where)
        if entry.get("deleted") in (1, True):
            continue
        corners = points(need(entry, "polygon", where, list), size, where, 2)
        shapes.append((_class(name), PillowShape("polygon", corners)))
    for ending in ("_gtFine_polygons", "_gtCoarse_polygons"):
        if file.stem.endswith(ending):
            return Drawing(f"{file.stem.removesuffix(ending)}_leftImg8bit", file, size, tuple(shapes))
    return Drawing(file.stem.removesuffix("_polygons"), file, size, tuple(shapes))


def _class(name: str) -> str:
    single = name.removesuffix("group")
    if name not in CITYSCAPES.names and single in CITYSCAPES.names and name not in NOT_EVALUATED:
        return single
    return "ignore" if name in NOT_EVALUATED else name
