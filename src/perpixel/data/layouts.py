"""The layouts of data folders that need no file written by the user, tried in this order:

    leftImg8bit/SPLIT/CITY + gtFine/SPLIT/CITY      Cityscapes
    JPEGImages + SegmentationClass + ImageSets/...  VOC
    train + trainannot, val + valannot, ...         SegNet's CamVid
    images/{train,val,test} + masks/...             folders by split; ADE20K is one
    train/{images,masks}, val/..., ...              the same the other way round
    train_images + train_masks, train + train_labels, ...
    images + masks                                  flat; split by train.txt and val.txt (stems) beside them,
                                                    else by a stable hash of the stem
    {1.jpg,1.png} or {1.jpg,1_mask.png} together    in train, val, test, or in the folder itself

Names of folders may have capitals. A data set's own classes are taken only where its files' names say that it is that one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.data.candidates import may_hold_masks, which_masks
from perpixel.data.class_tables import class_table
from perpixel.data.listing import list_images
from perpixel.data.lists import SPLIT_NAMES, Listed, by_lists
from perpixel.data.mask_source import InstanceIds, MaskFile
from perpixel.data.pairing import Pairs, pair, pair_beside
from perpixel.data.samples import SPLITS, Dataset, Sample, split_by_hash
from perpixel.labels import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "rgb", "photos", "inputs", "input")
MASK_FOLDERS = (
    "masks labels annotations mask label annotation gt gts ground_truth groundtruth ground_truths "
    "segmentation segmentations segmentation_masks targets target"
).split()

SIDE_BY_SIDE = "pairs side by side"
RESULTS = ("predictions", "prediction", "overlays", "results", "output", "outputs", "out", "runs")
"""Folders that are no question: what a program wrote."""

_OWN_NAMES = {
    "CamVid": re.compile(r"^(0001TP|0006R0|0016E5|Seq05VD)_"),
    "VOC": re.compile(r"^20\d\d_\d{6}$"),
    "ADE20K": re.compile(r"^ADE_(train|val)_\d{8}$"),
}
Folders = Mapping[str, tuple[Path, Path]]


def find_layout(root: Path) -> Dataset | None:
    """The data set in a folder, or None if it fits no layout."""
    for finder in FINDERS:
        if (dataset := finder(root)) is not None:
            return dataset
    return None


def subfolders(root: Path) -> dict[str, Path]:
    """The folders in a folder by their names in small letters, with _ for - and space."""
    visible = (p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith((".", "__")))
    return {re.sub(r"[ -]", "_", p.name.lower()): p for p in visible}


def two_folders(root: Path, chosen: str = "") -> tuple[Path, Path] | None:
    """The folder of images and that of masks; `chosen` is the name of the masks' folder where somebody told it.

    Raises:
        UserError: several folders may hold the masks, and nobody told which.
    """
    inside = subfolders(root)
    images = next((inside[n] for n in IMAGE_FOLDERS if n in inside), None)
    if images is None or chosen:
        return None if images is None else (images, root / chosen)
    named = [inside[n] for n in MASK_FOLDERS if n in inside]
    others = [p for n, p in inside.items() if n not in {*IMAGE_FOLDERS, *MASK_FOLDERS, *SPLIT_NAMES, *RESULTS}]
    masks = [m for m in named if list_images(m)]
    if named and (several := [*masks, *(p for p in others if may_hold_masks(p, images))])[1:]:
        raise UserError(which_masks(root, several))
    return (images, (masks or named)[0]) if named else None


def split_folders(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """images/train with masks/train and so on; where the masks are not divided, images/train with masks."""
    divided, found = split_names(masks), split_names(images)
    return {s: (p, divided.get(s, masks)) for s, p in found.items() if s in divided or not divided}


def without_folder(images: Path, masks: Path) -> tuple[Path, ...]:
    """The files of a train or val folder whose counterpart does not exist; test images may go without masks."""
    left, right = split_names(images), split_names(masks)
    lone = [p for a, b in ((left, right), (right, left)) for s, p in a.items() if s not in b and s != "test" and right]
    return tuple(p for folder in lone for p in list_images(folder))


def split_names(root: Path) -> dict[str, Path]:
    """The folders in a folder that are named after a split."""
    inside = subfolders(root)
    return {split: inside[n] for n, split in SPLIT_NAMES.items() if n in inside}


def with_val(dataset: Dataset) -> Dataset:
    """A data set with a val cut out of train by hash where there is none."""
    splits = dataset.splits
    if "val" in splits or not splits.get("train"):
        return dataset
    return replace(dataset, splits={**splits, **split_by_hash(splits["train"])}, hashed=True)


def listed(dataset: Dataset, found: Listed) -> Dataset:
    """A data set with the splits that lists give it."""
    return replace(dataset, splits=found.splits, lists=found.lists, hashed=found.hashed, unused=found.unused)


def pair_all(folders: Folders) -> tuple[dict[str, tuple[Sample, ...]], tuple[Path, ...]]:
    """The samples of every split, and the files that are in none."""
    paired = {s: pair(*two) for s, two in folders.items()}
    used = {sample.mask.path for samples, _ in paired.values() for sample in samples if sample.mask}
    alone = dict.fromkeys(p for _, files in paired.values() for p in files if p not in used)
    return {s: samples for s, (samples, _) in paired.items()}, tuple(alone)


def _cityscapes(root: Path) -> Dataset | None:
    if not (root / "leftImg8bit").is_dir() or not (root / "gtFine").is_dir():
        return None
    splits: dict[str, tuple[Sample, ...]] = {}
    kinds = ("labelIds", "labelTrainIds", "instanceIds")
    kind = next((k for k in kinds if next((root / "gtFine").rglob(f"*_{k}.png"), None)), kinds[0])
    unpaired: list[Path] = []
    for split, folder in split_names(root / "leftImg8bit").items():
        samples = []
        for image in sorted(folder.rglob("*_leftImg8bit.*")):
            stem = image.relative_to(folder).as_posix().rsplit("_leftImg8bit", 1)[0]
            mask = root / "gtFine" / folder.name / f"{stem}_gtFine_{kind}.png"
            if mask.is_file():
                samples.append(Sample(stem, image, InstanceIds(mask) if kind == "instanceIds" else MaskFile(mask)))
            else:
                unpaired.append(image)
        splits[split] = tuple(samples)
    taxonomy = CITYSCAPES_TRAIN_IDS if kind == "labelTrainIds" else CITYSCAPES
    return Dataset(root, "cityscapes", splits, taxonomy, "Cityscapes", unpaired=tuple(unpaired))


def _voc(root: Path) -> Dataset | None:
    images, masks = root / "JPEGImages", root / "SegmentationClass"
    if not images.is_dir() or not masks.is_dir():
        return None
    samples, unpaired = pair(images, masks)
    lists = root / "ImageSets" / "Segmentation"
    found = by_lists(samples, unpaired, lists if lists.is_dir() else root / "ImageSets")
    unlabelled = tuple(p for p in unpaired if p.is_relative_to(masks))  # VOC has many photos without a mask, by design
    is_voc = _is_own("VOC", samples)
    taxonomy = class_table(root) or (VOC if is_voc else None)
    name = "VOC" if is_voc else root.resolve().name
    return listed(Dataset(root, "voc", {}, taxonomy, name, unpaired=unlabelled), found)


def _segnet(root: Path) -> Dataset | None:
    here = {s: (root / s, root / f"{s}annot") for s in SPLITS if (root / s).is_dir() and (root / f"{s}annot").is_dir()}
    if not here:
        return None
    splits, unpaired = pair_all(here)
    is_camvid = _is_own("CamVid", [s for samples in splits.values() for s in samples])
    taxonomy, name = (CAMVID, "CamVid") if is_camvid else (None, root.resolve().name)
    return with_val(Dataset(root, "segnet", splits, taxonomy, name, unpaired=unpaired))


def _by_split(root: Path) -> Dataset | None:
    if (two := two_folders(root)) is not None:
        return _of_folders(root, split_folders(*two), "folders by split", without_folder(*two))
    inside = {s: two_folders(p) for s, p in split_names(root).items()}
    return _of_folders(root, {s: two for s, two in inside.items() if two is not None}, "folders by split")


def _side_by_side(root: Path) -> Dataset | None:
    inside, folders = subfolders(root), dict[str, tuple[Path, Path]]()
    for name, split in SPLIT_NAMES.items():
        images = [name, *_joined(name, IMAGE_FOLDERS)]
        masks = _joined(name, (*MASK_FOLDERS, "annot", "lab"))
        two = [next((inside[n] for n in names if n in inside), None) for names in (images, masks)]
        if two[0] is not None and two[1] is not None:
            folders[split] = (two[0], two[1])
    return _of_folders(root, folders, "folders side by side")


def _joined(split: str, names: Sequence[str]) -> list[str]:
    return [n for name in names for n in (f"{split}_{name}", f"{name}_{split}", f"{split}{name}")]


def _of_folders(root: Path, folders: Folders, layout: str, alone: tuple[Path, ...] = ()) -> Dataset | None:
    if not folders:
        return None
    splits, unpaired = pair_all(folders)
    unpaired += alone
    if _is_own("ADE20K", [s for samples in splits.values() for s in samples]):
        return with_val(Dataset(root, "ade20k", splits, ADE20K, "ADE20K", unpaired=unpaired))
    return with_val(Dataset(root, layout, splits, None, root.resolve().name, unpaired=unpaired))


def _flat(root: Path) -> Dataset | None:
    if (two := two_folders(root)) is None:
        return None
    samples, unpaired = pair(*two)
    if not samples and not unpaired:
        return None
    found = by_lists(samples, unpaired, root)
    return listed(Dataset(root, "flat", {}, None, root.resolve().name, unpaired=unpaired), found)


def _beside(root: Path) -> Dataset | None:
    paired = {s: _pair_inside(p) for s, p in split_names(root).items()} or {"": _pair_inside(root)}
    samples = [s for found, _ in paired.values() for s in found]
    unpaired = tuple(p for _, alone in paired.values() for p in alone)
    if 2 * len(samples) < len(unpaired) or not samples:
        return None  # hardly a pair among many pictures is a coincidence
    dataset = Dataset(root, SIDE_BY_SIDE, {}, None, root.resolve().name, unpaired=unpaired)
    if "" in paired:
        return listed(dataset, by_lists(paired[""][0], unpaired, root))
    return with_val(replace(dataset, splits={s: p[0] for s, p in paired.items()}))


def _pair_inside(folder: Path) -> Pairs:
    return pair_beside([p for p in list_images(folder) if p.parent == folder], folder)


def _is_own(name: str, samples: Sequence[Sample]) -> bool:
    stems = [s.name.rsplit("/", 1)[-1] for s in samples]
    return bool(stems) and all(_OWN_NAMES[name].match(stem) for stem in stems)


FINDERS: tuple[Callable[[Path], Dataset | None], ...] = (
    _cityscapes,
    _voc,
    _segnet,
    _by_split,
    _side_by_side,
    _flat,
    _beside,
)
