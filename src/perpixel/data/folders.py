"""From a folder (or a dataset.yaml) to pairs of image and mask, by split.

Layouts that need no file written by the user, tried in this order:

    dataset.yaml                                    says it all (docs/your-data.md)
    leftImg8bit/SPLIT/CITY + gtFine/SPLIT/CITY      Cityscapes
    JPEGImages + SegmentationClass + ImageSets/...  VOC
    train + trainannot, val + valannot, ...         SegNet's CamVid
    images/{training,validation} + annotations/...  ADE20K, when the masks are its own
    images/{train,val,test} + masks/...             folders by split (or labels, annotations)
    images + masks                                  flat; split by train.txt and val.txt (stems) beside them,
                                                    else by a stable hash of the stem
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from perpixel.core.errors import UserError, nearest
from perpixel.core.image import SUFFIXES
from perpixel.labels import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC, Taxonomy

SPLITS = ("train", "val", "test")
MASK_FOLDERS = ("masks", "labels", "annotations", "mask", "label", "annotation")
MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_annotation", "_L")
VAL_SHARE = 0.2
_ALIASES = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
_YAML_KEYS = ("name", "licence", "images", "masks", "splits", "classes", "ignore")

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sample:
    """One image and its mask (None when there is none); `window` (top, left, height, width) takes a part of both."""

    name: str
    image: Path
    mask: Path | None
    window: Window | None = None


@dataclass(frozen=True)
class Dataset:
    """What a data folder holds. `taxonomy` is None when neither the layout nor a dataset.yaml tells the classes."""

    root: Path
    layout: str
    splits: Mapping[str, tuple[Sample, ...]]
    taxonomy: Taxonomy | None = None
    name: str = ""
    licence: str = ""
    unpaired: tuple[Path, ...] = field(default=())

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split.

        Raises:
            UserError: no such split, or it is empty.
        """
        if not self.splits.get(name):
            have = ", ".join(f"{k} ({len(v)})" for k, v in self.splits.items()) or "none"
            raise UserError(f'{self.root}: no split "{name}"; there are: {have}.{nearest(name, self.splits)}')
        return self.splits[name]


def open_dataset(path: str | Path) -> Dataset:
    """Finds the layout of a data folder (or reads the dataset.yaml that `path` is, or that lies in it).

    Raises:
        UserError: nothing there, or it fits no layout; the message says what was looked for.
    """
    path = Path(path)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return _from_yaml(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; DATA is a folder of images and masks, or a dataset.yaml")
    if (path / "dataset.yaml").is_file():
        return _from_yaml(path / "dataset.yaml")
    for find in (_cityscapes, _voc, _segnet, _by_split, _flat):
        if (dataset := find(path)) is not None:
            return dataset
    raise UserError(_fits_none(path))


def list_images(folder: Path) -> list[Path]:
    """The image files below a folder, sorted by name; hidden files are passed over."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def split_by_hash(samples: Sequence[Sample]) -> dict[str, tuple[Sample, ...]]:
    """train and val by a hash of each name, so that a sample keeps its split when others come or go.

    About one in five goes to val; with two samples or more neither split is empty.
    """

    def place(sample: Sample) -> float:
        return int(hashlib.sha256(sample.name.encode()).hexdigest()[:8], 16) / 2**32

    ordered = sorted(samples, key=place)
    cut = sum(place(s) < VAL_SHARE for s in ordered)
    cut = min(max(cut, 1), len(ordered) - 1) if len(ordered) > 1 else 0
    val = {s.name for s in ordered[:cut]}
    return {
        "train": tuple(s for s in samples if s.name not in val),
        "val": tuple(s for s in samples if s.name in val),
    }


def pair(images: Path, masks: Path) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Pairs the images below one folder with the masks below another by relative path without ending.

    A mask may end in `_mask`, `_label`, `_gt` and the like. Returns the pairs and the files without a partner.

    Raises:
        UserError: two images (or masks) have the same stem.
    """
    found_images = _by_stem(images, list_images(images), skip=masks)
    found_masks = _by_stem(masks, list_images(masks), skip=images)
    plain = {_without_ending(stem): p for stem, p in found_masks.items()}
    partner = {s: found_masks.get(s) or plain.get(s) or plain.get(_without_ending(s)) for s in found_images}
    samples = tuple(Sample(s, p, partner[s]) for s, p in found_images.items() if partner[s] is not None)
    used = {s.mask for s in samples}
    alone = [p for s, p in found_images.items() if partner[s] is None]
    return samples, tuple(alone + [p for p in found_masks.values() if p not in used])


def _by_stem(folder: Path, files: Iterable[Path], skip: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for p in files:
        if skip != folder and skip.is_relative_to(folder) and p.is_relative_to(skip):
            continue  # the masks' folder lies inside the images' folder
        stem = p.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise UserError(f"{p} and {found[stem].name} have the same stem; give each image one file")
        found[stem] = p
    return found


def _without_ending(stem: str) -> str:
    return next((stem.removesuffix(e) for e in MASK_ENDINGS if stem.endswith(e)), stem)


def _cityscapes(root: Path) -> Dataset | None:
    if not (root / "leftImg8bit").is_dir() or not (root / "gtFine").is_dir():
        return None
    splits: dict[str, tuple[Sample, ...]] = {}
    kinds = ("labelIds", "labelTrainIds")
    kind = next((k for k in kinds if next((root / "gtFine").rglob(f"*_{k}.png"), None)), kinds[0])
    unpaired: list[Path] = []
    for folder in sorted(p for p in (root / "leftImg8bit").iterdir() if p.is_dir()):
        samples = []
        for image in sorted(folder.rglob("*_leftImg8bit.*")):
            stem = image.relative_to(folder).as_posix().rsplit("_leftImg8bit", 1)[0]
            mask = root / "gtFine" / folder.name / f"{stem}_gtFine_{kind}.png"
            samples.append(Sample(stem, image, mask)) if mask.is_file() else unpaired.append(image)
        splits[_ALIASES.get(folder.name, folder.name)] = tuple(samples)
    taxonomy = CITYSCAPES if kind == "labelIds" else CITYSCAPES_TRAIN_IDS
    return Dataset(root, "cityscapes", splits, taxonomy, "Cityscapes", unpaired=tuple(unpaired))


def _voc(root: Path) -> Dataset | None:
    images, masks = root / "JPEGImages", root / "SegmentationClass"
    if not images.is_dir() or not masks.is_dir():
        return None
    samples, unpaired = pair(images, masks)
    by_name = {s.name: s for s in samples}
    lists = root / "ImageSets" / "Segmentation"
    splits = {s: _listed(lists / f"{s}.txt", by_name) for s in SPLITS if (lists / f"{s}.txt").is_file()}
    splits = {s: v for s, v in splits.items() if v}
    if "val" not in splits:
        rest = splits.get("train") or samples
        splits = {**split_by_hash(rest), **{s: v for s, v in splits.items() if s == "test"}}
    unlabelled = tuple(p for p in unpaired if p.is_relative_to(masks))  # VOC has many photos without a mask, by design
    return Dataset(root, "voc", splits, _voc_taxonomy(root), "VOC", unpaired=unlabelled)


def _voc_taxonomy(root: Path) -> Taxonomy:
    """The classes of a VOC-like folder: its own class_names.txt or labelmap.txt where it has one, else VOC's 21."""
    names, label_map = root / "class_names.txt", root / "labelmap.txt"
    if names.is_file():
        found = [n.strip() for n in names.read_text().splitlines() if n.strip() and not n.startswith("__ignore")]
        return Taxonomy.of([n.strip("_") for n in found])
    if label_map.is_file():
        rows = [r.split(":") for r in label_map.read_text().splitlines() if r.strip() and not r.startswith("#")]
        colours = [tuple(int(v) for v in r[1].split(",")) for r in rows]
        return Taxonomy.from_dict(
            {
                "classes": [
                    {"name": r[0], "colour": list(c), "values": [list(c)]} for r, c in zip(rows, colours, strict=True)
                ]
            }
        )
    return VOC


def _listed(file: Path, by_name: Mapping[str, Sample]) -> tuple[Sample, ...]:
    names = [line.split()[0] for line in file.read_text().splitlines() if line.strip()]
    found = (by_name.get(n) or by_name.get(Path(n).stem) for n in names)
    return tuple(s for s in found if s is not None)


def _segnet(root: Path) -> Dataset | None:
    here = [s for s in SPLITS if (root / s).is_dir() and (root / f"{s}annot").is_dir()]
    if not here:
        return None
    paired = {s: pair(root / s, root / f"{s}annot") for s in here}
    splits = {s: samples for s, (samples, _) in paired.items()}
    unpaired = tuple(p for _, alone in paired.values() for p in alone)
    return Dataset(root, "segnet", splits, CAMVID, "CamVid", unpaired=unpaired)


def _two_folders(root: Path) -> tuple[Path, Path] | None:
    images = next((root / n for n in ("images", "image", "imgs", "img") if (root / n).is_dir()), None)
    masks = next((root / n for n in MASK_FOLDERS if (root / n).is_dir()), None)
    return (images, masks) if images and masks else None


def _by_split(root: Path) -> Dataset | None:
    if (two := _two_folders(root)) is None:
        two = (root, root)
        pairs = {s: _split_folders(root / s) for s in (*SPLITS, *_ALIASES) if (root / s).is_dir()}
        folders = {s: p for s, p in pairs.items() if p is not None}
    else:
        folders = {s: (two[0] / s, two[1] / s) for s in (*SPLITS, *_ALIASES) if (two[0] / s).is_dir()}
    folders = {_ALIASES.get(s, s): p for s, p in folders.items() if p[1].is_dir()}
    if not folders:
        return None
    paired = {s: pair(*p) for s, p in folders.items()}
    splits = {s: samples for s, (samples, _) in paired.items()}
    unpaired = tuple(p for _, alone in paired.values() for p in alone) + _without_folder(*two)
    is_ade = two[0].name == "images" and two[1].name == "annotations" and (two[0] / "training").is_dir()
    taxonomy = ADE20K if is_ade and next(iter(folders.values()))[0].name in ("training", "validation") else None
    layout, name = ("ade20k", "ADE20K") if taxonomy else ("folders by split", root.resolve().name)
    if "val" not in splits and splits.get("train"):
        splits = {**splits, **split_by_hash(splits["train"])}
    return Dataset(root, layout, splits, taxonomy, name, unpaired=unpaired)


def _without_folder(images: Path, masks: Path) -> tuple[Path, ...]:
    """The files of a train or val folder whose counterpart does not exist; test images may go without masks."""
    names = [s for s in (*SPLITS, *_ALIASES) if _ALIASES.get(s, s) != "test"] if images != masks else []
    lone = [a / s for s in names for a, b in ((images, masks), (masks, images)) if not (b / s).is_dir()]
    return tuple(p for folder in lone if folder.is_dir() for p in list_images(folder))


def _split_folders(folder: Path) -> tuple[Path, Path] | None:
    """images and masks below a split's own folder: train/images + train/masks."""
    return _two_folders(folder)


def _flat(root: Path) -> Dataset | None:
    if (two := _two_folders(root)) is None:
        return None
    samples, unpaired = pair(*two)
    if not samples and not unpaired:
        return None
    by_name = {s.name: s for s in samples}
    listed = {s: _listed(root / f"{s}.txt", by_name) for s in SPLITS if (root / f"{s}.txt").is_file()}
    if listed.get("train") and listed.get("val"):
        splits = listed
    elif listed.get("train"):  # a test list must not leak into train or val
        splits = {**split_by_hash(listed["train"]), **{s: v for s, v in listed.items() if s == "test"}}
    else:
        splits = split_by_hash(samples)
    return Dataset(root, "flat", splits, None, root.resolve().name, unpaired=unpaired)


def _fits_none(root: Path) -> str:
    inside = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    return (
        f"{root}: no known layout. Looked for images/ + masks/ (or labels/, annotations/), flat or with train/val/test inside; "
        f"train/ + trainannot/; JPEGImages/ + SegmentationClass/; leftImg8bit/ + gtFine/; a dataset.yaml. It holds: {inside}"
    )


def _from_yaml(file: Path) -> Dataset:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not valid YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(data, dict):
        raise UserError(f"{file}: expected keys such as images, masks, classes; got {type(data).__name__}")
    for key in data:
        if key not in (*_YAML_KEYS, "root"):
            raise UserError(
                f'{file}: unknown key "{key}"; known: {", ".join(_YAML_KEYS)}.{nearest(str(key), _YAML_KEYS)}'
            )
    root = (file.parent / data["root"]).resolve() if "root" in data else file.parent
    try:
        taxonomy = Taxonomy.from_dict(data) if "classes" in data else None
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    found = _yaml_splits(root, data, file)
    return replace(
        found,
        taxonomy=taxonomy or found.taxonomy,
        name=str(data.get("name", found.name or root.resolve().name)),
        licence=str(data.get("licence", "")),
    )


def _yaml_splits(root: Path, data: Mapping[str, Any], file: Path) -> Dataset:
    if "images" not in data and "masks" not in data and "splits" not in data:
        for find in (_cityscapes, _voc, _segnet, _by_split, _flat):
            if (dataset := find(root)) is not None:
                return dataset
        raise UserError(f'{file}: give "images" and "masks". {_fits_none(root)}')
    two = _two_folders(root) or (root / "images", root / "masks")
    images, masks = root / str(data.get("images", two[0].name)), root / str(data.get("masks", two[1].name))
    for key, folder in (("images", images), ("masks", masks)):
        if not folder.is_dir():
            raise UserError(f'{file}: "{key}" is {folder}, which is not a folder')
    if "splits" not in data:
        by_split = {s: (images / s, masks / s) for s in SPLITS if (images / s).is_dir() and (masks / s).is_dir()}
        if by_split:
            paired = {s: pair(*p) for s, p in by_split.items()}
            alone = tuple(p for _, a in paired.values() for p in a)
            return Dataset(root, "dataset.yaml", {s: p for s, (p, _) in paired.items()}, unpaired=alone)
        samples, alone = pair(images, masks)
        return Dataset(root, "dataset.yaml", split_by_hash(samples), unpaired=alone)
    samples, _ = pair(images, masks)
    by_name = {s.name: s for s in samples}
    if not isinstance(data["splits"], Mapping):
        raise UserError(f'{file}: "splits" must be a mapping such as {{train: train.txt, val: val.txt}}')
    return Dataset(root, "dataset.yaml", {str(s): _entries(root, e, by_name, file) for s, e in data["splits"].items()})


def _entries(root: Path, entry: Any, by_name: Mapping[str, Sample], file: Path) -> tuple[Sample, ...]:
    """The samples of one split: a list file of stems, or a list of stems and {stem, window} in the YAML itself."""
    if isinstance(entry, str):
        if not (root / entry).is_file():
            raise UserError(f"{file}: the list {root / entry} does not exist")
        entry = [line.split()[0] for line in (root / entry).read_text().splitlines() if line.strip()]
    if not isinstance(entry, list):
        raise UserError(f"{file}: a split must be a list file or a list of stems, got {entry!r}")
    return tuple(_entry(e, by_name, file) for e in entry)


def _entry(entry: Any, by_name: Mapping[str, Sample], file: Path) -> Sample:
    stem, window = (entry.get("stem"), entry.get("window")) if isinstance(entry, Mapping) else (entry, None)
    stem = str(stem)
    sample = by_name.get(stem) or by_name.get(Path(stem).with_suffix("").as_posix()) or by_name.get(Path(stem).stem)
    if sample is None:
        raise UserError(f'{file}: no image and mask for "{stem}".{nearest(stem, by_name)}')
    if window is None:
        return sample
    if not (isinstance(window, list) and len(window) == 4 and all(isinstance(v, int) and v >= 0 for v in window)):
        raise UserError(f"{file}: the window of {stem} must be [top, left, height, width] in pixels, got {window!r}")
    top, left, height, width = window
    return replace(sample, name=f"{sample.name}@{top},{left}", window=(top, left, height, width))
