"""What of a data folder is in no sample: counted, and said in a line each, always."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from perpixel.core.words import some_names
from perpixel.data.formats.drawn import DrawnMask
from perpixel.data.listing import LABEL_KINDS, kinds, list_files
from perpixel.data.lists import SPLIT_NAMES, TRAINVAL
from perpixel.data.samples import Dataset

_OWN_FILES = ("dataset.yaml", "class_names.txt", "labelmap.txt")
_CLASS_FILES = ("labels.txt",)


def left_out(dataset: Dataset) -> tuple[str, ...]:
    """A line for the files without a partner, for other pictures, for lists that are not used, and for all other files."""
    found, root = list_files(dataset.root), dataset.root
    samples = [s for named in dataset.splits.values() for s in named]
    used = {s.image for s in samples} | {s.mask_path for s in samples}
    alone = {*dataset.unpaired, *(p for s in dataset.unused for p in (s.image, s.mask_path))}
    more = [p for p in found.images if p not in used and p not in alone]
    lists = unused_lists(dataset)
    own = (*_OWN_FILES, *(_CLASS_FILES if any(isinstance(s.mask, DrawnMask) for s in samples) else ()))
    known = {*lists, *(x.file for x in dataset.lists)}
    others = tuple(p for p in found.others if p not in known and p not in used and p.name not in own)
    labels = tuple(p for p in others if p.suffix.lower() in LABEL_KINDS)
    lines = [
        (dataset.unpaired, f"without a partner: {some_names(_relative(dataset.unpaired, root))}"),
        (more, f"pictures in no pair: {_by_folder(more, root)}"),
        (labels, f"that may hold labels but are no images ({kinds(labels)}): draw their polygons or boxes into masks"),
        (tuple(p for p in others if p not in labels), ""),
    ]
    said = [f"{len(files)} {_files(text, files)}" for files, text in lines if files]
    if dataset.unused:
        files = ", ".join(x.file.name for x in dataset.lists) or "dataset.yaml"
        names = some_names([s.name for s in dataset.unused])
        said.insert(0, f"{len(dataset.unused)} pairs are in no list ({files}): {names}")
    if lists:
        said.append(f"not used, the folders say the splits: {some_names(_relative(lists, root))}")
    return (*dataset.notes, *said)


def unused_lists(dataset: Dataset) -> tuple[Path, ...]:
    """Lists of names beside the data that did not make its splits."""
    used = {found.file for found in dataset.lists}
    names = (*SPLIT_NAMES, TRAINVAL)
    files = (dataset.root / f"{name}.txt" for name in names) if dataset.layout != "dataset.yaml" else ()
    return tuple(f for f in files if f.is_file() and f not in used)


def _files(text: str, files: Iterable[Path]) -> str:
    if text.startswith("pictures"):
        return text
    return f"files {text}" if text else f"files not read as images: {kinds(tuple(files))}"


def _relative(paths: Iterable[Path], root: Path) -> list[str]:
    return [p.relative_to(root).as_posix() if p.is_relative_to(root) else str(p) for p in paths]


def _by_folder(paths: Iterable[Path], root: Path) -> str:
    counts = Counter(p.parent.relative_to(root).as_posix() for p in paths)
    return some_names([f"{folder}/ ({n})".replace("./ ", "here ") for folder, n in counts.most_common()])
