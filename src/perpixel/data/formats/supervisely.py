"""Supervisely: meta.json with the classes, and one JSON a picture (ann/a.jpg.json beside img/a.jpg).

Rule of pixels: polygons as OpenCV's and Pillow's fills have them, outline included; "interior" polygons are holes, their
outline too; a bitmap is a PNG, zipped and in base64, with its left upper corner. Objects are drawn in the file's order, a later one
over an earlier one. Points, lines and cuboids are counted. Pixels of no object are "background". tags are not read.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.json import read_json
from perpixel.data.formats.annotations import Annotations, Drawing
from perpixel.data.formats.fields import class_name, need, points, size_of
from perpixel.data.formats.inline import png_bytes, runs_of
from perpixel.data.formats.shapes import PillowShape, Region, Shape

MAX_PNG = 2**26
"""So many bytes an unzipped bitmap may have."""


@dataclass(frozen=True)
class Holed:
    """A shape without the parts that others cover."""

    outside: Shape
    holes: tuple[Shape, ...]

    def region(self, size: Size) -> Region:
        """The pixels that it covers."""
        top, left, inside = self.outside.region(size)
        kept = np.zeros(size, bool)
        kept[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        for hole in self.holes:
            y, x, cut = hole.region(size)
            kept[y : y + cut.shape[0], x : x + cut.shape[1]] &= ~cut
        return top, left, kept[top : top + inside.shape[0], left : left + inside.shape[1]]


def is_supervisely(data: Any) -> bool:
    """Whether a JSON's contents are one picture's annotation."""
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("objects"), list)
        and isinstance(data.get("size"), Mapping)
        and {"height", "width"} <= data["size"].keys()
    )


def read(files: Mapping[Path, Any], root: Path) -> Annotations:
    """What annotation files (path: contents) say."""
    drawings, left_out = list[Drawing](), 0
    for file, data in files.items():
        size = size_of(data["size"]["height"], data["size"]["width"], f"{file}: size")
        shapes = [_shape(entry, size, f"{file}: object {i}") for i, entry in enumerate(data["objects"])]
        left_out += shapes.count(None)
        drawings.append(Drawing(file.stem, file, size, tuple(s for s in shapes if s is not None)))
    notes = (f"{left_out} objects without an area are not drawn",) if left_out else ()
    return Annotations(drawings, _names(next(iter(files)), root), notes=notes)


def _names(file: Path, root: Path) -> tuple[str, ...]:
    """The classes of the project, from the meta.json of a folder around its annotations."""
    for folder in (file.parent, *list(file.absolute().parents)[1:4]):
        meta = folder / "meta.json"
        if meta.is_file() and isinstance(data := read_json(meta), Mapping) and "classes" in data:
            entries = need(data, "classes", str(meta), list)
            return tuple(class_name(e, "title", f"{meta}: class {i}") for i, e in enumerate(entries))
    return ()


def _shape(entry: Any, size: Size, where: str) -> tuple[str, Shape] | None:
    name = class_name(entry, "classTitle", where)
    where, kind = f'{where} ("{name[:40]}")', entry.get("geometryType")
    if kind == "bitmap":
        return name, _bitmap(need(entry, "bitmap", where, Mapping), size, where)
    if kind not in ("polygon", "rectangle"):
        return None
    given = need(entry, "points", where, Mapping)
    outside = need(given, "exterior", where, list)
    if kind == "rectangle":
        return name, PillowShape("rectangle", points(outside, size, where, 2))
    inside = given.get("interior") or []
    if not isinstance(inside, list):
        raise UserError(f"{where}: interior must be a list of polygons")
    outer = PillowShape("polygon", points(outside, size, where, 3))
    holes = _holes(inside, size, where)
    return name, Holed(outer, holes) if holes else outer


def _holes(inside: Sequence[Any], size: Size, where: str) -> tuple[Shape, ...]:
    return tuple(PillowShape("polygon", points(h, size, f"{where}, hole {i}", 3)) for i, h in enumerate(inside))


def _bitmap(bitmap: Mapping[str, Any], size: Size, where: str) -> Shape:
    x, y = np.frombuffer(points(need(bitmap, "origin", where, list), size, where)).round().astype(int)[:2]
    unzip = zlib.decompressobj()
    try:
        png = unzip.decompress(base64.b64decode(need(bitmap, "data", where, str), validate=True), MAX_PNG)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise UserError(f"{where}: the bitmap is no zipped PNG in base64 ({error})") from error
    if unzip.unconsumed_tail or not unzip.eof:
        raise UserError(f"{where}: the bitmap is cut short, or larger than {MAX_PNG:,} bytes")
    return runs_of(png_bytes(png, where), int(y), int(x))
