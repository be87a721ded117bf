"""Finds the annotation files of a folder, or takes one that is named, and makes a data set of what they say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from perpixel.core.errors import UserError
from perpixel.core.json import read_json
from perpixel.core.xml import read_xml
from perpixel.core.yaml import read_yaml
from perpixel.data.formats import cityscapes, coco, cvat, label_studio, labelme, supervisely, yolo
from perpixel.data.formats.annotations import Annotations, dataset_of
from perpixel.data.formats.drawn import check_overlap
from perpixel.data.listing import list_files
from perpixel.data.samples import Dataset

FOLDERS_UP = 2
"""From an annotation file that is given by itself, pictures are looked for so many folders up, the nearest first."""

READERS: Mapping[str, Callable[[Path], Any]] = {
    ".json": read_json,
    ".xml": read_xml,
    ".yaml": partial(read_yaml, as_written=True),
    ".yml": partial(read_yaml, as_written=True),
}
"""Ending -> what reads such a file's contents."""

Contents = Mapping[Path, Any]
Reader = Callable[[Contents, Path], Annotations]


def _coco(files: Contents, root: Path) -> Annotations:
    found = [coco.read(file, data) for file, data in files.items()]
    names = list(dict.fromkeys(n for f in found for n in f.names))
    colours = {n: c for f in found for n, c in f.colours.items()}
    rests = {f.rest for f in found}
    if len(rests) > 1 or (len({f.names for f in found}) > 1 and None in rests):
        raise UserError(f"{', '.join(f.name for f in files)}: of different kinds or classes; give one of them as DATA")
    return Annotations(
        [d for f in found for d in f.drawings],
        tuple(names),
        found[0].rest,
        found[0].overlap,
        colours,
        tuple(n for f in found for n in f.notes),
    )


KINDS: Mapping[str, tuple[Callable[[Any], bool], Reader]] = {
    "labelme": (labelme.is_labelme, labelme.read),
    "coco": (coco.is_coco, _coco),
    "cvat": (cvat.is_cvat, cvat.read),
    "label studio": (label_studio.is_label_studio, label_studio.read),
    "yolo": (yolo.is_yolo, yolo.read),
    "cityscapes polygons": (cityscapes.is_cityscapes, cityscapes.read),
    "supervisely": (supervisely.is_supervisely, supervisely.read),
}
"""Name -> whether a file's contents are of this kind, and what reads all such files of a folder."""


def open_annotations(path: Path, overlap: str = "") -> Dataset | None:
    """The data set that the annotation files of a folder describe, or the one file given; None where there are none.

    Args:
        path: a folder, or an annotation file.
        overlap: who wins where shapes overlap; the format's own rule unless given.

    Raises:
        UserError: a file that cannot be read, is of no known kind, or annotations of several kinds.
    """
    overlap = overlap and check_overlap(overlap)
    if path.is_file():
        kind, contents = _kind_of(path)
        if not kind:
            raise UserError(f"{path}: no annotations in a format that is read here ({', '.join(KINDS)})")
        return _nearest(path, kind, {path: contents}, overlap)
    found = _by_kind(path)
    if len(found) > 1:
        said = "; ".join(
            f"{kind} ({len(files)} files, such as {next(iter(files)).name})" for kind, files in found.items()
        )
        raise UserError(f"{path}: annotations of several kinds: {said}. Give one file or one folder of one kind")
    for kind, files in found.items():
        return dataset_of(path, kind, KINDS[kind][1](files, path), overlap)
    return None


def is_annotations(file: Path) -> bool:
    """Whether a YAML file is that of a set of annotations, such as YOLO's, and no dataset.yaml."""
    return bool(_kind_of(file)[0])


def _by_kind(folder: Path) -> dict[str, dict[Path, Any]]:
    """The annotation files below a folder, by kind; a file of another kind is none of them, whatever it holds."""
    found: dict[str, dict[Path, Any]] = {}
    others = list_files(folder).others
    yolo_texts = any(p.suffix == ".txt" and "labels" in p.parts for p in others)
    for file in others:
        ending = file.suffix.lower()
        if ending in READERS and file.is_file() and (yolo_texts or ending not in (".yaml", ".yml")):
            kind, contents = _kind_of(file)
            if kind:
                found.setdefault(kind, {})[file] = contents
    return found


def _kind_of(file: Path) -> tuple[str, Any]:
    contents = READERS.get(file.suffix.lower(), read_json)(file)
    return next((name for name, (knows, _) in KINDS.items() if knows(contents)), ""), contents


def _nearest(file: Path, kind: str, files: Contents, overlap: str) -> Dataset:
    """The data set of one file: pictures are looked for beside it, then in the folders around it."""
    parents: Sequence[Path] = file.absolute().parents
    folders = [file.parent, *list(parents)[1 : FOLDERS_UP + 1]]
    best: Dataset | None = None
    for folder in folders:
        annotations = KINDS[kind][1](files, folder)
        dataset = dataset_of(folder, kind, annotations, overlap)
        count = sum(map(len, dataset.splits.values()))
        if best is None or count > sum(map(len, best.splits.values())):
            best = dataset
        if count == len(annotations.drawings):
            break
    assert best is not None
    return replace(best)
