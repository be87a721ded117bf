"""dataset.yaml: where images and masks are, which split they belong to, and what the mask values mean."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from perpixel.core.errors import UserError, nearest
from perpixel.data.layouts import by_lists, find_layout, pair_all, split_folders, two_folders, with_val, without_folder
from perpixel.data.pairing import pair
from perpixel.data.samples import Dataset, Sample, by_name, find, find_in_line
from perpixel.data.window import Window
from perpixel.labels import Taxonomy

KEYS = ("name", "licence", "root", "images", "masks", "splits", "classes", "ignore")


def read_dataset_yaml(file: Path) -> Dataset:
    """The data set that a dataset.yaml describes.

    Raises:
        UserError: not YAML, an unknown key, or something that it names is not there.
    """
    data = _load(file)
    root = (file.parent / str(data["root"])).resolve() if "root" in data else file.parent
    if not root.is_dir():
        raise UserError(f'{file}: "root" is {root}, which is not a folder')
    try:
        taxonomy = Taxonomy.from_dict(data) if "classes" in data else None
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    found = _splits(root, data, file)
    return replace(
        found,
        classes=taxonomy or found.classes,
        name=str(data.get("name", found.name or root.resolve().name)),
        licence=str(data.get("licence", "")),
    )


def _load(file: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(data, dict):
        raise UserError(f"{file}: expected keys such as images, masks, classes; got {type(data).__name__}")
    for key in data:
        if key not in KEYS:
            raise UserError(f'{file}: unknown key "{key}"; known: {", ".join(KEYS)}.{nearest(str(key), KEYS)}')
    return data


def _splits(root: Path, data: Mapping[str, Any], file: Path) -> Dataset:
    if not {"images", "masks", "splits"} & set(data):
        if (dataset := find_layout(root)) is not None:
            return dataset
        raise UserError(f'{file}: give "images" and "masks", the folders they are in; {root} has no known layout')
    images, masks = _folders(root, data, file)
    if "splits" in data:
        return Dataset(root, "dataset.yaml", _listed(root, data["splits"], pair(images, masks)[0], file))
    if images != masks and (divided := split_folders(images, masks)):
        splits, alone = pair_all(divided)
        return Dataset(root, "dataset.yaml", with_val(splits), unpaired=alone + without_folder(images, masks))
    samples, alone = pair(images, masks)
    return Dataset(root, "dataset.yaml", by_lists(samples, root), unpaired=alone)


def _folders(root: Path, data: Mapping[str, Any], file: Path) -> tuple[Path, Path]:
    usual = two_folders(root) or (root / "images", root / "masks")
    images, masks = root / str(data.get("images", usual[0].name)), root / str(data.get("masks", usual[1].name))
    for key, folder in (("images", images), ("masks", masks)):
        if not folder.is_dir():
            raise UserError(f'{file}: "{key}" is {folder}, which is not a folder')
    return images, masks


def _listed(root: Path, splits: Any, samples: tuple[Sample, ...], file: Path) -> dict[str, tuple[Sample, ...]]:
    if not isinstance(splits, Mapping):
        raise UserError(f'{file}: "splits" must be a mapping such as {{train: train.txt, val: val.txt}}')
    named = by_name(samples)
    return {str(s): _entries(root, entry, named, file) for s, entry in splits.items()}


def _entries(root: Path, entry: Any, named: Mapping[str, Sample], file: Path) -> tuple[Sample, ...]:
    """The samples of one split: a list file of stems, or a list of stems and {stem, window} in the YAML itself."""
    if isinstance(entry, str):
        if not (root / entry).is_file():
            raise UserError(f"{file}: the list {root / entry} does not exist")
        lines = (root / entry).read_text("utf-8", errors="replace").splitlines()
        return tuple(_found(find_in_line(x, named), x, named, root / entry) for x in lines if x.strip())
    if not isinstance(entry, list):
        raise UserError(f"{file}: a split must be a list file or a list of stems, got {entry!r}")
    return tuple(_entry(e, named, file) for e in entry)


def _entry(entry: Any, named: Mapping[str, Sample], file: Path) -> Sample:
    if not isinstance(entry, Mapping):
        return _found(find(str(entry), named), str(entry), named, file)
    if "stem" not in entry or set(entry) - {"stem", "window"}:
        got = dict(entry)
        raise UserError(f"{file}: expected {{stem: a, window: [top, left, height, width]}}, got {got}")
    sample = _found(find(str(entry["stem"]), named), str(entry["stem"]), named, file)
    if entry.get("window") is None:
        return sample
    top, left, height, width = _window(entry["window"], sample.name, file)
    return replace(sample, name=f"{sample.name}@{top},{left}", window=(top, left, height, width))


def _found(sample: Sample | None, entry: str, named: Mapping[str, Sample], file: Path) -> Sample:
    if sample is None:
        raise UserError(f'{file}: no image and mask for "{entry.strip()}".{nearest(entry, named)}')
    return sample


def _window(window: Any, stem: str, file: Path) -> Window:
    is_four = isinstance(window, list) and len(window) == 4 and all(type(v) is int and v >= 0 for v in window)
    if not is_four or 0 in window[2:]:
        raise UserError(f"{file}: the window of {stem} must be [top, left, height, width] in pixels, got {window!r}")
    return (window[0], window[1], window[2], window[3])
