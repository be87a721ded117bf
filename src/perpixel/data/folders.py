"""From a folder (or a dataset.yaml) to pairs of image and mask, by split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.data.dataset_yaml import read_dataset_yaml
from perpixel.data.layouts import find_layout, subfolders
from perpixel.data.samples import Dataset, Sample
from perpixel.labels import Taxonomy


def open_dataset(path: str | Path) -> Dataset:
    """Finds the layout of a data folder (or reads the dataset.yaml that `path` is, or that lies in it).

    A folder that holds one folder and no picture stands for that folder, as an unpacked archive often has it.

    Raises:
        UserError: nothing there, or it fits no layout; the message says what was looked for.
    """
    return replace(_find(Path(path)), infer=_infer)


def _infer(samples: Sequence[Sample]) -> Taxonomy | None:
    from perpixel.data.statistics import infer_taxonomy  # takes its time to import

    try:
        return infer_taxonomy(samples)
    except UserError:
        return None


def _find(path: Path) -> Dataset:
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return read_dataset_yaml(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; DATA is a folder of images and masks, or a dataset.yaml")
    here: Path | None = path
    while here is not None:
        if (here / "dataset.yaml").is_file():
            return read_dataset_yaml(here / "dataset.yaml")
        if (dataset := find_layout(here)) is not None:
            return dataset
        inside = list(subfolders(here).values())
        here = inside[0] if len(inside) == 1 else None
    raise UserError(_fits_none(path))


def _fits_none(root: Path) -> str:
    inside = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    return (
        f"{root}: no known layout. Looked for images/ + masks/ (or labels/, annotations/, gt/), flat or with train/val/test "
        "inside; train/images + train/masks; train_images/ + train_masks/; train/ + trainannot/; JPEGImages/ + "
        "SegmentationClass/; leftImg8bit/ + gtFine/; 1.jpg beside 1.png or 1_mask.png; a dataset.yaml. "
        f"It holds: {inside}"
    )
