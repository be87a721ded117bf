"""Small folders of pictures with annotations, and what a data set says of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perpixel.data.samples import Dataset

Array = np.ndarray


def art(text: str) -> Array:
    """Labels as they are drawn with letters: . is 0, # is 1, digits are themselves, x is 255."""
    meaning = {".": 0, "#": 1, "x": 255}
    rows = [[meaning[c] if c in meaning else int(c) for c in row] for row in text.split()]
    return np.array(rows, np.uint8)


def picture(path: Path, size: tuple[int, int] = (6, 8), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)).save(path)
    return path


def write_json(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def drawn(dataset: Dataset) -> dict[str, Array]:
    """Every mask by the name of its picture."""
    samples = [s for found in dataset.splits.values() for s in found]
    assert all(s.mask is not None for s in samples)
    return {s.image.name: s.mask.read().values for s in samples if s.mask is not None}


def the_mask(dataset: Dataset) -> Array:
    """The one mask of a data set of one picture."""
    masks = list(drawn(dataset).values())
    assert len(masks) == 1
    return masks[0]


def shape(label: str, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    """A shape of labelme."""
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def labelme(path: Path, *shapes: Any, size: tuple[int, int] = (6, 8), **more: Any) -> Path:
    """A picture of labelme's and its JSON."""
    image = picture(path.with_suffix(".png"), size)
    data = {"version": "5.5.0", "shapes": list(shapes), "imagePath": image.name, "imageData": None}
    return write_json(path, {**data, "imageHeight": size[0], "imageWidth": size[1], **more})


def coco(root: Path, *annotations: Any, size: tuple[int, int] = (6, 8), **more: Any) -> Path:
    """One picture a.png and its COCO file; `annotations` are of picture 7, classes 3 (cat) and 5 (dog)."""
    picture(root / "a.png", size)
    found = [{"id": i, "image_id": 7, "iscrowd": 0, **a} for i, a in enumerate(annotations, 1)]
    images = [{"id": 7, "file_name": "a.png", "height": size[0], "width": size[1]}]
    categories = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]
    return write_json(root / "coco.json", {"images": images, "annotations": found, "categories": categories, **more})
