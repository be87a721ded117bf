"""dataset.yaml: where images and masks are, which split they belong to, and what the mask values mean."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from perpixel.core.errors import UserError, nearest
from perpixel.core.text import read_lines
from perpixel.core.yaml import read_yaml
from perpixel.data.finding import find_data
from perpixel.data.formats import open_annotations
from perpixel.data.layouts import (
    listed,
    pair_all,
    split_folders,
    split_names,
    two_folders,
    with_val,
    without_folder,
)
from perpixel.data.lists import by_lists
from perpixel.data.naming import Names
from perpixel.data.pairing import pair
from perpixel.data.patterns import is_pattern, pair_patterns
from perpixel.data.samples import Dataset, Sample
from perpixel.data.window import Window
from perpixel.labels import Taxonomy

KEYS = ("name", "licence", "root", "images", "masks", "splits", "classes", "ignore", "annotations", "overlap", "bands")
LAYOUT = "dataset.yaml"


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
        bands=_bands(data, file),
    )


def _bands(data: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """The names of the images' bands.

    Raises:
        UserError: not a list of different names.
    """
    named = data.get("bands", [])
    if not isinstance(named, list) or not all(isinstance(n, str | int | float) for n in named):
        raise UserError(f'{file}: "bands" must be a list of names, one for each band of an image, got {named!r}')
    names = tuple(str(n) for n in named)
    if twice := [n for n in names if names.count(n) > 1]:
        raise UserError(f'{file}: "bands" names "{twice[0]}" twice')
    return names


def _load(file: Path) -> dict[str, Any]:
    """The file's contents; names of classes and entries of splits are the texts that stand there (001, no, null)."""
    data, written = read_yaml(file), read_yaml(file, as_written=True)
    if not isinstance(data, dict):
        raise UserError(f"{file}: expected keys such as images, masks, classes; got {type(data).__name__}")
    for key in data:
        if key not in KEYS:
            raise UserError(f'{file}: unknown key "{key}"; known: {", ".join(KEYS)}.{nearest(str(key), KEYS)}')
    texts = {
        k: v
        for k, v in written.items()
        if k in ("name", "licence", "root", "images", "masks", "annotations", "overlap")
    }
    texts = {k: v for k, v in texts.items() if isinstance(v, str) and v}
    if isinstance(data.get("bands"), list):
        data["bands"] = written["bands"]
    if isinstance(data.get("classes"), list):
        data["classes"] = [_named(c, w) for c, w in zip(data["classes"], written["classes"], strict=True)]
    if isinstance(data.get("splits"), dict):
        data["splits"] = {k: _as_text(v, written["splits"][k]) for k, v in data["splits"].items()}
    return data | texts


def _named(entry: Any, written: Any) -> Any:
    if isinstance(written, str):
        return {"name": written}
    has_name = isinstance(entry, dict) and isinstance(written.get("name"), str)
    return {**entry, "name": written["name"]} if has_name else entry


def _as_text(entries: Any, written: Any) -> Any:
    """The entries of a split with every stem as it is written; the windows stay numbers."""
    if not isinstance(entries, list):
        return entries
    texts = list(zip(entries, written, strict=True))
    return [{**e, "stem": w["stem"]} if isinstance(e, dict) and "stem" in e else w for e, w in texts]


def _splits(root: Path, data: Mapping[str, Any], file: Path) -> Dataset:
    if not {"images", "masks", "splits"} & set(data):
        overlap = str(data.get("overlap", ""))
        if "annotations" in data:
            return _annotated(root, str(data["annotations"]), overlap, file)
        if (dataset := find_data(root, overlap)) is not None:
            return dataset
        raise UserError(f'{file}: give "images" and "masks", the folders they are in; {root} has no known layout')
    if any(is_pattern(str(data.get(key, ""))) for key in ("images", "masks")):
        return _by_patterns(root, data, file)
    inside = _inside_splits(root, data)
    if inside:
        splits, alone = pair_all(inside)
        samples = tuple(s for found in splits.values() for s in found)
        return _given(root, data, samples, file) or with_val(Dataset(root, LAYOUT, splits, unpaired=alone))
    images, masks = _folders(root, data, file)
    if "splits" not in data and images != masks and (divided := split_folders(images, masks)):
        splits, alone = pair_all(divided)
        return with_val(Dataset(root, LAYOUT, splits, unpaired=alone + without_folder(images, masks)))
    samples, alone = pair(images, masks)
    given = _given(root, data, samples, file)
    return given or listed(Dataset(root, LAYOUT, {}, unpaired=alone), by_lists(samples, alone, root))


def _annotated(root: Path, name: str, overlap: str, file: Path) -> Dataset:
    """The data set of the annotation file or folder that a dataset.yaml names."""
    if (dataset := open_annotations(root / name, overlap) if (root / name).exists() else None) is None:
        raise UserError(f'{file}: "annotations" is {root / name}, where there are none of a known format')
    return dataset


def _by_patterns(root: Path, data: Mapping[str, Any], file: Path) -> Dataset:
    """Both are patterns, or one of them is and the other is a folder."""
    if not {"images", "masks"} <= set(data):
        raise UserError(f'{file}: give "images" and "masks", both as patterns, such as images/{{id}}_sat.tif')
    texts = [t if is_pattern(t := str(data[key])) else f"{t.rstrip('/')}/**/*" for key in ("images", "masks")]
    try:
        splits, alone = pair_patterns(root, texts[0], texts[1])
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    samples = tuple(s for found in splits.values() for s in found)
    if (given := _given(root, data, samples, file)) is not None:
        return given
    if set(splits) <= {""}:
        return listed(Dataset(root, LAYOUT, {}, unpaired=alone), by_lists(samples, alone, root))
    return with_val(Dataset(root, LAYOUT, splits, unpaired=alone))


def _given(root: Path, data: Mapping[str, Any], samples: tuple[Sample, ...], file: Path) -> Dataset | None:
    """The splits that the file itself gives, if it does."""
    if "splits" not in data:
        return None
    splits = _listed(root, data["splits"], samples, file)
    used = {s.image for found in splits.values() for s in found}
    return Dataset(root, LAYOUT, splits, unused=tuple(s for s in samples if s.image not in used))


def _inside_splits(root: Path, data: Mapping[str, Any]) -> dict[str, tuple[Path, Path]]:
    """train/images with train/1st_manual and so on, where the folders named are not in `root` but in those of the splits."""
    found = {}
    for split, folder in split_names(root).items():
        usual = two_folders(folder, str(data["masks"])) if "masks" in data else two_folders(folder)
        images = folder / str(data["images"]) if "images" in data else usual[0] if usual else None
        masks = folder / str(data["masks"]) if "masks" in data else usual[1] if usual else None
        if images is not None and masks is not None and images.is_dir() and masks.is_dir():
            found[split] = (images, masks)
    here = [key for key in ("images", "masks") if key in data and (root / str(data[key])).is_dir()]
    return {} if here else found


def _folders(root: Path, data: Mapping[str, Any], file: Path) -> tuple[Path, Path]:
    usual = two_folders(root, str(data.get("masks", ""))) or (root / "images", root / "masks")
    images, masks = root / str(data.get("images", usual[0].name)), root / str(data.get("masks", usual[1].name))
    for key, folder in (("images", images), ("masks", masks)):
        if not folder.is_dir():
            raise UserError(f'{file}: "{key}" is {folder}, which is not a folder')
    return images, masks


def _listed(root: Path, splits: Any, samples: tuple[Sample, ...], file: Path) -> dict[str, tuple[Sample, ...]]:
    if not isinstance(splits, Mapping):
        raise UserError(f'{file}: "splits" must be a mapping such as {{train: train.txt, val: val.txt}}')
    named = Names.of(samples)
    return {str(s): _entries(root, entry, named, file) for s, entry in splits.items()}


def _entries(root: Path, entry: Any, named: Names, file: Path) -> tuple[Sample, ...]:
    """The samples of one split: a list file of stems, or a list of stems and {stem, window} in the YAML itself."""
    if isinstance(entry, str):
        if not (root / entry).is_file():
            raise UserError(f"{file}: the list {root / entry} does not exist")
        lines = [line for line in read_lines(root / entry) if not line.startswith("#")]
        return tuple(_found(named.find_in_line(x), x, named, root / entry) for x in lines)
    if not isinstance(entry, list):
        raise UserError(f"{file}: a split must be a list file or a list of stems, got {entry!r}")
    return tuple(_entry(e, named, file) for e in entry)


def _entry(entry: Any, named: Names, file: Path) -> Sample:
    if not isinstance(entry, Mapping):
        return _found(named.find(str(entry)), str(entry), named, file)
    if "stem" not in entry or set(entry) - {"stem", "window"}:
        got = dict(entry)
        raise UserError(f"{file}: expected {{stem: a, window: [top, left, height, width]}}, got {got}")
    sample = _found(named.find(str(entry["stem"])), str(entry["stem"]), named, file)
    if entry.get("window") is None:
        return sample
    top, left, height, width = _window(entry["window"], sample.name, file)
    return replace(sample, name=f"{sample.name}@{top},{left}", window=(top, left, height, width))


def _found(sample: Sample | None, entry: str, named: Names, file: Path) -> Sample:
    if sample is None:
        raise UserError(f"{file}: {named.unknown(entry)}")
    return sample


def _window(window: Any, stem: str, file: Path) -> Window:
    is_four = isinstance(window, list) and len(window) == 4 and all(type(v) is int and v >= 0 for v in window)
    if not is_four or 0 in window[2:]:
        raise UserError(f"{file}: the window of {stem} must be [top, left, height, width] in pixels, got {window!r}")
    return (window[0], window[1], window[2], window[3])
