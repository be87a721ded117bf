"""A data set in a form of its own, whatever form it came in: index masks, colour masks, or COCO's runs; labels come back exactly."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from perpixel.core import IGNORE
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import write_text
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.data.pairs import read_labels
from perpixel.data.samples import Dataset, Sample
from perpixel.labels import Taxonomy

Labelled = Iterator[tuple[Sample, Path, Array]]
"""Sample, its image below the folder, labels (H, W) in [0, K) and 255."""

_FREE = ((0, 0, 0), (255, 255, 255), (224, 224, 192), (1, 1, 1))


def write_dataset(
    dataset: Dataset, folder: Path, form: str = "index", report: Reporter | None = None
) -> dict[str, int]:
    """Writes images/SPLIT, copied byte by byte, and the labels; the folder appears when all of it is written.

    Args:
        dataset: any; its classes must be known.
        folder: a new one.
        form: index (masks/SPLIT/NAME.png, whose value is the class, with a palette, and a dataset.yaml), colour (the same with
            the classes' colours), or coco (annotations/stuff_SPLIT.json, compressed runs, one annotation a class and image).
        report: hears how far it is.

    Returns:
        Split -> how many pairs were written.

    Raises:
        UserError: the folder is there, the classes are not known, or a mask cannot be read.
        OSError: the disk is full.
    """
    if form not in FORMS:
        raise UserError(f'--as must be one of {", ".join(FORMS)}, got "{form}".{nearest(form, FORMS)}')
    if (taxonomy := dataset.taxonomy) is None:
        raise UserError(
            f"{dataset.root}: the masks do not tell their classes; perpixel check writes a dataset.yaml to name them"
        )
    if any(s.window for samples in dataset.splits.values() for s in samples):
        raise UserError(f"{dataset.root}: its samples are windows of larger images, which are not converted")
    with _whole_folder(folder) as aside:
        counts: dict[str, int] = {}
        total, done = sum(map(len, dataset.splits.values())), 0
        writer = FORMS[form](dataset, taxonomy, aside)
        for split, samples in dataset.splits.items():
            pairs, lone = [s for s in samples if s.mask], [s for s in samples if not s.mask]
            for sample in lone:
                _copy(sample, split, aside)

            def labelled(split: str = split, pairs: list[Sample] = pairs) -> Labelled:
                nonlocal done
                for sample in pairs:
                    yield sample, _copy(sample, split, aside), read_labels(sample, taxonomy)
                    done += 1
                    (report or Silent()).step(done, total)

            counts[split] = writer(split, labelled())
    return counts


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; give another folder with --to")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        aside.mkdir()
        yield aside
        with suppress(FileNotFoundError):
            folder.rmdir()
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy(sample: Sample, split: str, root: Path) -> Path:
    place = root / "images" / split / f"{sample.name}{sample.image.suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sample.image, place)
    return place


Writer = Callable[[str, Labelled], int]


def _index(dataset: Dataset, taxonomy: Taxonomy, root: Path) -> Writer:
    plain = Taxonomy.of(taxonomy.names, taxonomy.colours)
    _write_yaml(dataset, plain, root)

    def write(split: str, labelled: Labelled) -> int:
        def picture(labels: Array) -> Image.Image:
            found = Image.fromarray(labels)
            found.putpalette(plain.palette.ravel().tolist())
            return found

        return _write_masks(root, split, labelled, picture)

    return write


def _colour(dataset: Dataset, taxonomy: Taxonomy, root: Path) -> Writer:
    ignored = next(c for c in _FREE if c not in taxonomy.colours)
    if len(set(taxonomy.colours)) < taxonomy.num_classes:
        raise UserError(
            f"{dataset.root}: two classes have one colour; give each its own in dataset.yaml, or --as index"
        )
    values = [(c,) for c in taxonomy.colours]
    _write_yaml(dataset, Taxonomy.of(taxonomy.names, taxonomy.colours, values, (ignored,)), root)
    table = np.array([*taxonomy.colours, *[ignored] * (256 - taxonomy.num_classes)], np.uint8)
    return lambda split, labelled: _write_masks(root, split, labelled, lambda labels: Image.fromarray(table[labels]))


def _write_masks(root: Path, split: str, labelled: Labelled, picture: Callable[[Array], Image.Image]) -> int:
    count = 0
    for sample, _, labels in labelled:
        place = root / "masks" / split / f"{sample.name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture(labels).save(place)
        count += 1
    return count


def _write_yaml(dataset: Dataset, taxonomy: Taxonomy, root: Path) -> None:
    data: dict[str, Any] = {"name": dataset.name or dataset.root.name}
    data |= {"licence": dataset.licence} if dataset.licence else {}
    data |= {"bands": list(dataset.bands)} if dataset.bands else {}
    text = yaml.safe_dump(
        {**data, **taxonomy.to_dict()}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )
    write_text(root / "dataset.yaml", text)


def _coco(dataset: Dataset, taxonomy: Taxonomy, root: Path) -> Writer:
    """Every class is "stuff", so that what no annotation covers is ignored, as it was."""
    categories = [
        {"id": k + 1, "name": name, "supercategory": "class", "isthing": 0, "color": list(colour)}
        for k, (name, colour) in enumerate(zip(taxonomy.names, taxonomy.colours, strict=True))
    ]

    def write(split: str, labelled: Labelled) -> int:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for _, file, labels in labelled:
            height, width = labels.shape
            name = file.relative_to(root).as_posix()
            images.append({"id": len(images) + 1, "file_name": name, "height": height, "width": width})
            annotations += (
                {"id": len(annotations) + i, "image_id": len(images), **found}
                for i, found in enumerate(_runs(labels), 1)
            )
        if images:
            data = {"images": images, "annotations": annotations, "categories": categories}
            (root / "annotations").mkdir(exist_ok=True)
            write_text(root / "annotations" / f"stuff_{split}.json", json.dumps(data))
        return len(images)

    return write


def _runs(labels: Array) -> Iterator[dict[str, Any]]:
    from pycocotools import mask

    for k in np.unique(labels[labels != IGNORE]).tolist():
        runs = mask.encode(np.asfortranarray(labels == k, np.uint8))
        segmentation = {"size": list(labels.shape), "counts": runs["counts"].decode()}
        box = mask.toBbox(runs).tolist()
        yield {
            "category_id": k + 1,
            "segmentation": segmentation,
            "area": int(mask.area(runs)),
            "bbox": box,
            "iscrowd": 0,
        }


FORMS: Mapping[str, Callable[[Dataset, Taxonomy, Path], Writer]] = {"index": _index, "colour": _colour, "coco": _coco}
"""Name -> what makes the writer of a data set's splits."""
