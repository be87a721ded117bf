"""YOLO (Ultralytics) segmentation: a YAML with the names, and labels/…/a.txt for images/…/a.jpg, one polygon a line.

A line is the class's number and x y x y ... in parts of the picture's width and height. Rule of pixels: Ultralytics': corners are cut
to whole pixels, the outline belongs to the shape, and of two that overlap the smaller counts. Lines of four numbers are boxes of
detection and are counted. A picture without a text file is background, as Ultralytics has it. Pixels of no polygon are "background".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import image_size
from perpixel.core.text import read_text
from perpixel.data.formats.annotations import BACKGROUND, Annotations, Drawing, plain
from perpixel.data.formats.fields import numbers, points
from perpixel.data.formats.shapes import PillowShape, Shape
from perpixel.data.listing import list_images

MAX_LINES = 10**6


def is_yolo(data: Any) -> bool:
    """Whether a YAML's contents describe such a set."""
    return isinstance(data, Mapping) and "names" in data and bool({"train", "val", "nc"} & data.keys())


def read(files: Mapping[Path, Any], root: Path) -> Annotations:
    """What a set's YAML (path: contents) says, with the text files below `root`."""
    if len(files) > 1:
        raise UserError(f"{', '.join(map(str, files))}: several YOLO sets in one folder; give one of the files as DATA")
    file, data = next(iter(files.items()))
    names, drawings, boxes, empty = _names(file, data["names"]), list[Drawing](), 0, 0
    for image in list_images(root):
        parts = image.relative_to(root).parts
        if (labels := _labels(root, parts)) is None:
            continue
        shapes, found = _shapes(labels, image, names) if labels.is_file() else ([], 0)
        boxes, empty = boxes + found, empty + (not labels.is_file())
        source = labels if labels.is_file() else file
        drawings.append(Drawing("/".join(parts), source, image_size(image), tuple(shapes)))
    notes = [f"{boxes} lines of labels are boxes, not polygons, and are not drawn"] if boxes else []
    notes += [f"{empty} pictures have no text file: they are taken as background, as YOLO does"] if empty else []
    rest = next((n for n in names if plain(n).lower() == BACKGROUND), BACKGROUND)
    return Annotations(drawings, tuple(names), plain(rest), "small", notes=tuple(notes))


def _names(file: Path, given: Any) -> list[str]:
    entries = given if isinstance(given, Mapping) else dict(enumerate(given)) if isinstance(given, list) else {}
    try:
        found = {int(k): str(v).strip() for k, v in entries.items()}
    except ValueError:
        found = {}
    if not found or sorted(found) != list(range(len(found))) or not all(found.values()):
        raise UserError(f'{file}: "names" must be a list of classes, or 0: NAME, 1: NAME and so on')
    return [found[i] for i in range(len(found))]


def _labels(root: Path, parts: tuple[str, ...]) -> Path | None:
    """The text file of a picture: the last folder called images becomes labels."""
    at = max((i for i, p in enumerate(parts[:-1]) if p == "images"), default=None)
    if at is None:
        return None
    folder = root.joinpath(*parts[:at], "labels")
    return folder.joinpath(*parts[at + 1 :]).with_suffix(".txt") if folder.is_dir() else None


def _shapes(labels: Path, image: Path, names: list[str]) -> tuple[list[tuple[str, Shape]], int]:
    """The polygons of a text file, and how many of its lines are boxes."""
    size, found, boxes = image_size(image), list[tuple[str, Shape]](), 0
    lines = read_text(labels, 2**28).split("\n")
    if len(lines) > MAX_LINES:
        raise UserError(f"{labels}: {len(lines):,} lines; {MAX_LINES:,} are the most")
    for i, line in enumerate(lines, 1):
        where = f"{labels}, line {i}"
        if not (values := numbers(line, where)):
            continue
        if not values[0].is_integer() or not 0 <= values[0] < len(names):
            raise UserError(f"{where}: class {values[0]:g} is none of the {len(names)} classes, 0 to {len(names) - 1}")
        if len(values) == 5:
            boxes += 1
            continue
        found.append((names[int(values[0])], _polygon(values[1:], size, where)))
    return found, boxes


def _polygon(values: list[float], size: Size, where: str) -> Shape:
    if len(values) % 2 or (values and max(map(abs, values)) > 2):
        raise UserError(f"{where}: expected x y x y ... in parts of the picture, 0 to 1, got {len(values)} numbers")
    corners = np.frombuffer(points(values, (1, 1), where, 3)).reshape(-1, 2) * np.array(size[::-1])
    return PillowShape("polygon", points(corners, size, where, 3))
