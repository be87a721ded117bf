"""The data set in a folder: by its layout of masks, else by the annotation files in it."""

from dataclasses import replace
from pathlib import Path

from perpixel.data.class_tables import TABLES, class_table
from perpixel.data.formats import open_annotations
from perpixel.data.layouts import find_layout
from perpixel.data.samples import Dataset


def find_data(root: Path, overlap: str = "") -> Dataset | None:
    """The data set in a folder, or None where there are neither masks nor annotations that are known.

    Masks count where there is any pair of image and mask; annotations beside them are then not read.

    Raises:
        UserError: an annotation file is at fault, or they are of several kinds.
    """
    layout = find_layout(root)
    if layout is not None and any(layout.splits.values()):
        return layout if layout.classes is not None else _with_table(layout)
    return open_annotations(root, overlap) or layout


def _with_table(dataset: Dataset) -> Dataset:
    """With the classes of a table of its own, in the folder or beside the first image or mask."""
    first = next(s for samples in dataset.splits.values() for s in samples)
    beside = [f.parent for f in (first.image, first.mask_path) if f is not None]
    for folder in dict.fromkeys((dataset.root, *beside)):
        if any((folder / name).is_file() for name in TABLES):
            mask = first.mask.read() if first.mask else None
            if (found := class_table(folder, mask)) is not None:
                return replace(dataset, classes=found)
    return dataset
