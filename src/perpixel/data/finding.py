"""The data set in a folder: by its layout of masks, else by the annotation files in it."""

from pathlib import Path

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
        return layout
    return open_annotations(root, overlap) or layout
