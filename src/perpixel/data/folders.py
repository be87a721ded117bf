"""From a folder (or a dataset.yaml) to pairs of image and mask, by split."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.core.words import some_names
from perpixel.data.dataset_yaml import read_dataset_yaml
from perpixel.data.finding import find_data
from perpixel.data.formats import KINDS, is_annotations, open_annotations
from perpixel.data.layouts import SIDE_BY_SIDE, subfolders
from perpixel.data.left_out import left_out
from perpixel.data.listing import LABEL_KINDS, kinds, list_files, list_images
from perpixel.data.samples import Dataset, Sample
from perpixel.labels import Taxonomy

DEPTH = 4
"""So many folders deep a layout is looked for."""


def open_dataset(path: str | Path, overlap: str = "") -> Dataset:
    """Finds the layout of a data folder (or reads the dataset.yaml that `path` is, or that lies in it).

    A folder of no masks but annotations (LabelMe, COCO and others) is drawn from these, and so is one annotation file;
    `overlap`, one of `perpixel.data.formats.OVERLAPS`, says who wins where shapes overlap.

    A folder without a layout of its own stands for the one folder in it that has one, as unpacked archives often do. What
    of the folder is in no sample is in the data set's `notes`.

    Raises:
        UserError: nothing there, it fits no layout, or several folders could be meant; the message says what was looked for.
    """
    dataset = _find(Path(path), overlap)
    return replace(dataset, notes=left_out(dataset), infer=_infer)


def _infer(samples: Sequence[Sample]) -> Taxonomy | None:
    from perpixel.data.statistics import infer_taxonomy  # takes its time to import

    try:
        return infer_taxonomy(samples)
    except UserError:
        return None


def _find(path: Path, overlap: str) -> Dataset:
    if path.is_file() and path.suffix in (".yaml", ".yml") and not is_annotations(path):
        return read_dataset_yaml(path)
    if path.is_file() and (annotated := open_annotations(path, overlap)) is not None:
        return annotated
    if not path.is_dir():
        raise UserError(
            f"{path}: no such folder; DATA is a folder of images and masks or annotations, a dataset.yaml or an annotation file"
        )
    if (dataset := _here(path, overlap)) is not None and not _is_chance(dataset):
        return dataset
    inside = list(_inside(path, DEPTH, overlap))
    if not inside and dataset is None:
        raise UserError(_fits_none(path))
    best = max(inside, key=_pairs, default=dataset)
    assert best is not None
    if dataset is not None and _pairs(dataset) >= _pairs(best):
        return dataset
    if len(inside) > 1:
        found = some_names([f"{d.root.relative_to(path)} ({_pairs(d)} pairs)" for d in inside], 8)
        raise UserError(
            f"{path}: there is data in more than one folder: {found}; give one of them, or write a dataset.yaml"
        )
    outside = len(list_images(path)) - len(list_images(best.root))
    more = (f"{outside} pictures outside of {best.root.relative_to(path)}/, where the pairs are",) if outside else ()
    return replace(best, notes=(*best.notes, *more))


def _here(folder: Path, overlap: str) -> Dataset | None:
    file = folder / "dataset.yaml"
    return read_dataset_yaml(file) if file.is_file() and not is_annotations(file) else find_data(folder, overlap)


def _inside(folder: Path, depth: int, overlap: str) -> Iterator[Dataset]:
    """The data sets in the folders of a folder, and in theirs."""
    for sub in subfolders(folder).values() if depth else ():
        if (dataset := _here(sub, overlap)) is not None:
            yield dataset
        else:
            yield from _inside(sub, depth - 1, overlap)


def _pairs(dataset: Dataset) -> int:
    return len({s.image for samples in dataset.splits.values() for s in samples})


def _is_chance(dataset: Dataset) -> bool:
    """Whether a folder's pairs lie side by side and are less than half of the pictures below it: a figure of a README."""
    return dataset.layout == SIDE_BY_SIDE and 4 * _pairs(dataset) < len(list_images(dataset.root))


def _fits_none(root: Path) -> str:
    inside = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    files = list_files(root)
    labels = tuple(p for p in files.others if p.suffix.lower() in LABEL_KINDS)
    if labels:
        inside += (
            f"; below it {len(files.images)} pictures and files that may hold labels but are no images: {kinds(labels)}. "
            f"Read are {', '.join(KINDS)}; draw others into masks, such as masks/1.png for images/1.jpg"
        )
    return (
        f"{root}: no known layout. Looked for images/ + masks/ (or labels/, annotations/, gt/), flat or with train/val/test "
        "inside; train/images + train/masks; train_images/ + train_masks/; train/ + trainannot/; JPEGImages/ + "
        "SegmentationClass/; leftImg8bit/ + gtFine/; 1.jpg beside 1.png or 1_mask.png; annotations ("
        f"{', '.join(KINDS)}); a dataset.yaml. "
        f"It holds: {inside}"
    )
