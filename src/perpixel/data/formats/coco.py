"""COCO: one JSON for many pictures; instances and stuff (polygons and runs), or panoptic (a PNG a picture).

Rule of pixels: pycocotools' for polygons (`CocoPolygons`: all polygons of an annotation are one shape), runs as they are.
COCO says no order of annotations: where two overlap the smaller counts, unless told otherwise, and crowds (`iscrowd`)
come before all others, so that they lie below where it is told that the later one counts.
Pixels of no annotation are "background"; in a panoptic file, and in one of stuff, ignored.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.data.formats.annotations import BACKGROUND, Annotations, Drawing, plain
from perpixel.data.formats.drawn import FileMask
from perpixel.data.formats.fields import class_name, need, points, size_of
from perpixel.data.formats.inline import coco_runs
from perpixel.data.formats.shapes import CocoPolygons, Shape
from perpixel.labels.taxonomy import Colour

MAX_ANNOTATIONS = 5 * 10**6
MAX_BORDER = 2**24
"""So many pixels long the polygons of one annotation may be together: pycocotools takes memory for each."""


def is_coco(data: Any) -> bool:
    """Whether a JSON's contents are annotations of COCO."""
    return isinstance(data, Mapping) and all(
        isinstance(data.get(k), list) for k in ("images", "annotations", "categories")
    )


def is_panoptic(data: Mapping[str, Any]) -> bool:
    """Whether they are panoptic ones."""
    return any(isinstance(a, Mapping) and "segments_info" in a for a in data["annotations"][:1])


def read(file: Path, data: Mapping[str, Any]) -> Annotations:
    """What one COCO file says."""
    names = _categories(file, data["categories"])
    images = _images(file, data["images"])
    if len(data["annotations"]) > MAX_ANNOTATIONS:
        raise UserError(f"{file}: more than {MAX_ANNOTATIONS:,} annotations; divide the file")
    colours = {n: c for entry in data["categories"] if (c := _colour(entry)) for n in [plain(str(entry["name"]))]}
    order = tuple(names.values())
    if is_panoptic(data):
        drawings = _panoptic(file, data["annotations"], images, names)
        return Annotations(drawings, order, rest=None, colours=colours)
    shapes, notes = _shapes(file, data["annotations"], images, names)
    drawings = [Drawing(n, file, size, tuple(shapes.get(i, ()))) for i, (n, size) in images.items()]
    background = next((n for n in order if plain(n).lower() == BACKGROUND), BACKGROUND)
    stuff = bool(order) and all(
        str(c.get("supercategory", "")) and c.get("isthing", 1) == 0 for c in data["categories"]
    )
    return Annotations(drawings, order, None if stuff else plain(background), "small", colours, notes)


def _categories(file: Path, entries: Sequence[Any]) -> dict[int, str]:
    names: dict[int, str] = {}
    for i, entry in enumerate(entries):
        where = f"{file}: category {i}"
        number, name = need(entry, "id", where, int), class_name(entry, "name", where)
        if number in names or name in names.values():
            raise UserError(f'{where}: the id {number} or the name "{name[:40]}" is given twice')
        names[number] = name
    return names


def _images(file: Path, entries: Sequence[Any]) -> dict[int, tuple[str, Size]]:
    images: dict[int, tuple[str, Size]] = {}
    for i, entry in enumerate(entries):
        where = f"{file}: image {i}"
        number, name = need(entry, "id", where, int), need(entry, "file_name", where, str)
        if number in images:
            raise UserError(f"{where}: the id {number} is given twice")
        images[number] = name, size_of(entry.get("height"), entry.get("width"), f"{where} ({name[:80]})")
    return images


def _shapes(
    file: Path, entries: Sequence[Any], images: Mapping[int, tuple[str, Size]], names: Mapping[int, str]
) -> tuple[dict[int, list[tuple[str, Shape]]], tuple[str, ...]]:
    """The shapes of each image, crowds first, and a line for annotations without one."""
    found: dict[int, list[tuple[str, Shape]]] = {}
    crowds: dict[int, list[tuple[str, Shape]]] = {}
    boxes = 0
    for i, entry in enumerate(entries):
        where = f"{file}: annotation {i}"
        image = _known(entry, "image_id", images, where)
        name = names[_known(entry, "category_id", names, where)]
        if not entry.get("segmentation"):
            boxes += 1
            continue
        shape = _shape(entry["segmentation"], images[image][1], where)
        (crowds if entry.get("iscrowd") else found).setdefault(image, []).append((name, shape))
    both = {i: crowds.get(i, []) + found.get(i, []) for i in found.keys() | crowds.keys()}
    return both, (
        (f"{boxes} annotations of {file.name} have no segmentation (boxes alone) and are not drawn",) * bool(boxes)
    )


def _known(entry: Any, key: str, known: Mapping[int, Any], where: str) -> int:
    number: int = need(entry, key, where, int)
    if number not in known:
        raise UserError(f"{where}: {key} {number} is not there; the file has {len(known)} of them")
    return number


def _shape(segmentation: Any, size: Size, where: str) -> Shape:
    if isinstance(segmentation, Mapping):
        return coco_runs(segmentation, size, where)
    if not isinstance(segmentation, list):
        raise UserError(f"{where}: segmentation must be polygons or runs, got {type(segmentation).__name__}")
    return polygons(segmentation, size, where)


def polygons(corners: Sequence[Any], size: Size, where: str) -> CocoPolygons:
    """Polygons [x, y, x, y, ...] as pycocotools draws them together.

    Raises:
        UserError: fewer than three corners, or borders of more than `MAX_BORDER` pixels.
    """
    found = tuple(points(polygon, size, f"{where}, polygon {i}", 3) for i, polygon in enumerate(corners))
    if sum(len(p) // 16 for p in found) * max(size) > MAX_BORDER and _length(found) > MAX_BORDER:
        raise UserError(f"{where}: its border is more than {MAX_BORDER:,} pixels long; simplify it")
    return CocoPolygons(found)


def _length(found: Sequence[bytes]) -> float:
    import numpy as np

    arrays = (np.frombuffer(p).reshape(-1, 2) for p in found)
    return float(sum(np.abs(np.diff(a, axis=0, append=a[:1])).max(1).sum() for a in arrays))


def _panoptic(
    file: Path, entries: Sequence[Any], images: Mapping[int, tuple[str, Size]], names: Mapping[int, str]
) -> list[Drawing]:
    """One mask file a picture, whose ids the segments name; id 0 is ignored."""
    labels = {number: k for k, number in enumerate(names)}
    drawings = []
    for i, entry in enumerate(entries):
        where = f"{file}: annotation {i}"
        name, size = images[_known(entry, "image_id", images, where)]
        mask = _mask_file(file, need(entry, "file_name", where, str), where)
        table = [(0, 255)]
        for j, segment in enumerate(need(entry, "segments_info", where, list)):
            number = need(segment, "id", f"{where}, segment {j}", int)
            table.append((number, labels[_known(segment, "category_id", names, f"{where}, segment {j}")]))
        if len(dict(table)) < len(table):
            raise UserError(f"{where}: the id of a segment is given twice, or is 0")
        drawings.append(Drawing(name, file, size, mask=FileMask(mask, tuple(table), colours=True)))
    return drawings


def _mask_file(file: Path, name: str, where: str) -> Path:
    """The PNG beside the JSON, in the folder of the JSON's name, or in any folder beside it that is called panoptic."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    folders = [file.with_suffix(""), *sorted(p for p in file.parent.glob("*panoptic*") if p.is_dir()), file.parent]
    for folder in folders:
        if last not in ("", ".", "..") and (folder / last).is_file():
            return folder / last
    raise UserError(f"{where}: {last[:80]} is not in {file.with_suffix('').name}/ beside {file.name}")


def _colour(entry: Any) -> Colour | None:
    given = entry.get("color")
    good = isinstance(given, list) and len(given) == 3 and all(type(v) is int and 0 <= v <= 255 for v in given)
    return (given[0], given[1], given[2]) if good else None
