"""CVAT's XML (1.1): "for images", one <image> a picture, and "for video", <track>s over frames.

Rule of pixels: that of CVAT's mask exporters, pycocotools' for polygons (`CocoPolygons`), boxes as polygons of their four corners
turned by `rotation`, ellipses by pixel centres, masks as their runs. Shapes are drawn by `z_order`, those of one order as they
stand in the file, a later one over an earlier one. Points, polylines, cuboids and skeletons cover no area and are counted.
Pixels of no shape are "background". `subset` is the split. A video's frame 12 is the picture frame_000012; only frames that a track
names are read, and no shape is drawn where it says outside="1".
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.xml import Element
from perpixel.data.formats.annotations import BACKGROUND, Annotations, Drawing, plain, split_of_words
from perpixel.data.formats.coco import polygons
from perpixel.data.formats.fields import class_name, need, numbers, size_of
from perpixel.data.formats.inline import checked_runs
from perpixel.data.formats.shapes import Ellipse, Shape
from perpixel.data.formats.turned import turned_box
from perpixel.labels.taxonomy import Colour

AREAS = ("polygon", "box", "ellipse", "mask")
NO_AREAS = ("points", "polyline", "cuboid", "skeleton")
MAX_SHAPES = 10**6
Entry = tuple[int, str, Shape]
"""z_order, class and shape."""


def is_cvat(data: Any) -> bool:
    """Whether an XML's root is CVAT's."""
    return isinstance(data, Element) and data.tag == "annotations" and data.find("version") is not None


def read(files: Mapping[Path, Element], root: Path) -> Annotations:
    """What CVAT files (path: root element) say."""
    names: dict[str, Colour | None] = {}
    drawings, left_out = list[Drawing](), Counter[str]()
    for file, data in files.items():
        names |= _names(data)
        left_out.update(e.tag for e in data.iter() if e.tag in NO_AREAS)
        drawings += [*_images(file, data), *_frames(file, data)]
    colours = {plain(n): c for n, c in names.items() if c is not None}
    background = next((n for n in names if plain(n).lower() == BACKGROUND), BACKGROUND)
    said = ", ".join(f"{count} {tag}" for tag, count in sorted(left_out.items()))
    notes = (f"shapes without an area are not drawn: {said}",) if said else ()
    return Annotations(drawings, tuple(names), plain(background), "last", colours, notes)


def _names(data: Element) -> dict[str, Colour | None]:
    """The labels in order; parts of a skeleton are none."""
    found: dict[str, Colour | None] = {}
    for label in data.iterfind("./meta//labels/label"):
        name = (label.findtext("name") or "").strip()
        if name and not label.findtext("parent"):
            found[name] = _colour((label.findtext("color") or "").strip())
    return found


def _colour(text: str) -> Colour | None:
    digits = text.removeprefix("#")
    if len(digits) != 6 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        return None
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def _images(file: Path, data: Element) -> Iterator[Drawing]:
    for i, image in enumerate(data.iterfind("image")):
        where = f"{file}: image {i}"
        name = need(image.attrib, "name", where, str)
        where = f'{where} ("{name[:60]}")'
        size = size_of(image.get("height"), image.get("width"), where)
        subset = image.get("subset", "")
        entries = [_entry(e, e, size, f"{where}, shape {j}") for j, e in enumerate(image) if e.tag in AREAS]
        whole = f"{subset}/{name}" if subset and not name.startswith(f"{subset}/") else name
        yield Drawing(whole, file, size, _sorted(entries, where), split_of_words(subset))


def _frames(file: Path, data: Element) -> Iterator[Drawing]:
    tracks = data.findall("track")
    if not tracks:
        return
    original = data.find("./meta//original_size")
    given = original if original is not None else Element("none")
    size = size_of(given.findtext("height"), given.findtext("width"), f"{file}: original_size")
    found: dict[int, list[Entry]] = {}
    for i, track in enumerate(tracks):
        for j, shape in enumerate(e for e in track if e.tag in AREAS):
            where = f"{file}: track {i}, shape {j}"
            frame = found.setdefault(_whole(shape.get("frame", ""), "frame", where), [])
            if shape.get("outside") != "1":
                frame.append(_entry(shape, track, size, where))
    for number, entries in sorted(found.items()):
        yield Drawing(f"frame_{number:06d}", file, size, _sorted(entries, f"{file}: frame {number}"))


def _sorted(entries: list[Entry], where: str) -> tuple[tuple[str, Shape], ...]:
    if len(entries) > MAX_SHAPES:
        raise UserError(f"{where}: {len(entries):,} shapes; {MAX_SHAPES:,} are the most")
    return tuple((name, shape) for _, name, shape in sorted(entries, key=lambda e: e[0]))


def _entry(shape: Element, labelled: Element, size: Size, where: str) -> Entry:
    name = class_name(labelled.attrib, "label", where)
    where = f'{where} ("{name[:40]}")'
    return _whole(shape.get("z_order", "0"), "z_order", where), name, _shape(shape, size, where)


def _shape(e: Element, size: Size, where: str) -> Shape:
    def number(key: str) -> float:
        found = numbers(need(e.attrib, key, where, str), f"{where}, {key}")
        if len(found) != 1 or abs(found[0]) > 1e9:
            raise UserError(f"{where}: {key} must be one number of pixels, got {e.attrib[key][:40]!r}")
        return found[0]

    turn = number("rotation") if "rotation" in e.attrib else 0.0
    if e.tag == "polygon":
        return polygons([numbers(need(e.attrib, "points", where, str), where)], size, where)
    if e.tag == "box":
        left, top, right, low = (number(k) for k in ("xtl", "ytl", "xbr", "ybr"))
        corners = turned_box((left, top, right, low), turn, ((left + right) / 2, (top + low) / 2))
        return polygons([corners], size, where)
    if e.tag == "ellipse":
        return Ellipse(number("cx"), number("cy"), number("rx"), number("ry"), turn)
    y, x = (_whole(e.get(k, ""), k, where) for k in ("top", "left"))
    window = size_of(e.get("height"), e.get("width"), where)
    counts = [int(v) for v in numbers(need(e.attrib, "rle", where, str), where) if v.is_integer()]
    return checked_runs(counts, window, where, y, x)


def _whole(text: str, key: str, where: str) -> int:
    if not text.lstrip("-").isdecimal() or len(text) > 9:
        raise UserError(f"{where}: {key} must be a whole number, got {text[:40]!r}")
    return int(text)
