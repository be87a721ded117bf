"""Boxes that somebody drew: VOC's XML and COCO's JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from perpixel.core.errors import UserError, nearest
from perpixel.detection.objects import Detections, Objects


@dataclass(frozen=True)
class CocoObjects:
    """What a COCO file says: the names of its classes, and the objects of each image by its file name."""

    names: tuple[str, ...]
    objects: Mapping[str, Objects]
    image_ids: Mapping[str, int]
    category_ids: tuple[int, ...]


def read_voc(path: str | Path, names: Sequence[str]) -> Objects:
    """The objects of an XML file of VOC; `names[k]` is class k of the detector.

    VOC says the first and the last pixel, and counts from 1: its 1, 1, 1, 1 is the box 0, 0, 1, 1.

    Raises `UserError` for a file that is no such XML, and for a name that is not among `names`.
    """
    path = Path(path)
    try:
        entries = ElementTree.parse(path).getroot().findall("object")
        found = [
            (_text(e, "name"), [float(_text(e, f"bndbox/{s}")) for s in SIDES], e.findtext("difficult"))
            for e in entries
        ]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as boxes of VOC ({error})") from error
    for name, _, _ in found:
        if name not in names:
            raise UserError(f'{path}: "{name}" is none of the classes {", ".join(names)}.{nearest(name, names)}')
    boxes = [[x1 - 1, y1 - 1, x2, y2] for _, (x1, y1, x2, y2), _ in found]
    difficult = [(mark or "0").strip() == "1" for _, _, mark in found]
    return Objects.of(boxes, [names.index(name) for name, _, _ in found], difficult)


SIDES = ("xmin", "ymin", "xmax", "ymax")


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if not text:
        raise ValueError(f"an object lacks {path}")
    return text.strip()


def read_coco(path: str | Path) -> CocoObjects:
    """The objects of a COCO file of instances, by the boxes in it. Classes are its categories, in the order of their ids.

    An image without annotations has no objects. Masks in the file are not read.

    Raises `UserError` for a file that is no such JSON, and for an annotation of an image or category that it lacks.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        categories = sorted((int(c["id"]), str(c["name"])) for c in data["categories"])
        files = {int(image["id"]): str(image["file_name"]) for image in data["images"]}
        entries: dict[int, list[dict[str, Any]]] = {image: [] for image in files}
        for entry in data["annotations"]:
            entries[entry["image_id"]].append(entry)
        numbers = {category: k for k, (category, _) in enumerate(categories)}
        objects = {file: _coco_objects(entries[image], numbers) for image, file in files.items()}
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{error} is not there" if isinstance(error, KeyError) else error
        raise UserError(f"{path}: cannot be read as instances of COCO ({reason})") from error
    ids = {file: image for image, file in files.items()}
    return CocoObjects(tuple(name for _, name in categories), objects, ids, tuple(c for c, _ in categories))


def _coco_objects(entries: Sequence[Mapping[str, Any]], numbers: Mapping[int, int]) -> Objects:
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (e["bbox"] for e in entries)]
    crowd = [bool(e.get("iscrowd", 0)) for e in entries]
    return Objects.of(boxes, [numbers[e["category_id"]] for e in entries], crowd=crowd)


def to_coco(found: Detections, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """What was found in one image as the entries of a COCO results file; class k has `category_ids[k]`, or k + 1.

    >>> import torch
    >>> to_coco(Detections(torch.tensor([[1.0, 2.0, 4.0, 6.0]]), torch.tensor([0.5]), torch.tensor([0])), image_id=7)
    [{'image_id': 7, 'category_id': 1, 'bbox': [1.0, 2.0, 3.0, 4.0], 'score': 0.5}]
    """
    entries = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    return [
        {
            "image_id": image_id,
            "category_id": label + 1 if category_ids is None else category_ids[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for (x1, y1, x2, y2), score, label in entries
    ]
