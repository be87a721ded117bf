"""Images and masks by patterns of their names, such as train/{id}_sat.tif with train/{id}_manual.gif, or by globs."""

import os
import re
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.data.listing import list_images
from perpixel.data.lists import SPLIT_NAMES
from perpixel.data.mask_source import MaskFile
from perpixel.data.naming import composed, without_suffix
from perpixel.data.pairing import match, stem_below
from perpixel.data.samples import Sample

_STAR = "star_"
Key = tuple[tuple[str, str], ...]
_PART = re.compile(r"\{(\w+)\}|(\*\*/)|(\*)|(\?)")


def is_pattern(text: str) -> bool:
    """Whether a path has a place to fill: {id}, * or ?."""
    return bool(_PART.search(text))


def find_files(root: Path, text: str) -> dict[Path, Key]:
    """The image files below a folder that fit a pattern, each with what stands in its places.

    {id}, or any other word in braces, stands for any text, which may hold slashes, and means the same wherever it is
    repeated; * for any text without a slash, **/ for any folders, ? for one letter.
    """
    seen: set[str] = set()
    form = re.compile(_PART.sub(lambda m: _place(m, seen), _escaped(composed(text.removeprefix("./")))))
    found = {}
    for path in list_images(root):
        if fits := form.fullmatch(composed(path.relative_to(root).as_posix())):
            found[path] = tuple(sorted(fits.groupdict().items()))
    return found


def pair_patterns(root: Path, images: str, masks: str) -> tuple[dict[str, tuple[Sample, ...]], tuple[Path, ...]]:
    """Samples by split, as {split} names it ("" without that), and the files without a partner.

    What stands in places that both patterns have pairs them, and names the samples: in braces of the same word or, without
    such, at the first star, the second and so on. Where that pairs nothing, names pair as in folders.

    Raises:
        UserError: a pattern fits no file, or two files have the same places filled.
    """
    found, sought = find_files(root, images), find_files(root, masks)
    for what, text, files in (("images", images, found), ("masks", masks, sought)):
        if not files:
            like = ", ".join(p.relative_to(root).as_posix() for p in list_images(root)[:3]) or "no image at all"
            raise UserError(f'no file fits "{what}: {text}"; below {root} there are, for example: {like}')
    shared = {name for key in sought.values() for name, _ in key} & {n for key in found.values() for n, _ in key}
    shared = {name for name in shared if not name.startswith(_STAR)} or shared
    if not any(key in _shortened(sought, shared) for key in _shortened(found, shared)):
        samples, alone = match(_stems(root, set(found) - set(sought)), _stems(root, sought))
        return {"": samples}, alone
    left, right = _keyed(found, shared), _keyed(sought, shared)
    splits: dict[str, list[Sample]] = {}
    for key, image in left.items():
        if key in right:
            name = "/".join(v for n, v in key if n != "split")
            where = dict(key).get("split", "")
            sample = Sample(name or stem_below(root, image), image, MaskFile(right[key]))
            splits.setdefault(SPLIT_NAMES.get(where.lower(), where), []).append(sample)
    alone = tuple(p for k, p in left.items() if k not in right) + tuple(p for k, p in right.items() if k not in left)
    return {split: tuple(samples) for split, samples in splits.items()}, alone


def proposal(root: Path, alone: Iterable[Path]) -> tuple[str, str] | None:
    """Patterns of images and of masks that would pair files which names alone do not pair; None where none is seen."""
    folders: dict[Path, list[Path]] = {}
    for path in alone:
        folders.setdefault(path.parent, []).append(path)
    tried = (propose(root, a, b) for a, b in combinations(folders.values(), 2))
    return next((found for found in tried if found), None)


def propose(root: Path, images: Sequence[Path], masks: Sequence[Path]) -> tuple[str, str] | None:
    """Patterns that pair most of the images of a folder with a mask each: what begins and what ends all names is fixed."""
    if len(images) < 2 or len(masks) < 2:
        return None
    patterns, ids = [], []
    for files in (images, masks):
        folder, names = Path(os.path.commonpath([p.parent for p in files])), [p.name for p in files]
        if any(p.parent != folder for p in files):
            return None
        head = _same_start(names).rstrip("0123456789")
        tail = _same_start([n[::-1] for n in names])[::-1].lstrip("0123456789")
        ids.append({n[len(head) : len(n) - len(tail)] for n in names})
        patterns.append(_with_split(folder.relative_to(root), f"{head}{{id}}{tail}"))
    both = ids[0] & ids[1]
    return (patterns[0], patterns[1]) if "" not in both and 2 * len(both) > len(images) else None


def _with_split(folder: Path, name: str) -> str:
    """A pattern in which the folder of a split, and its word in the name, are {split}."""
    parts = list(folder.parts)
    word = next((p for p in parts if p.lower() in SPLIT_NAMES), None)
    if word is not None:
        parts = ["{split}" if p == word else p for p in parts]
        name = name.replace(word, "{split}")
    return "/".join([*parts, name])


def _same_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((i for i, letter in enumerate(first) if last[i : i + 1] != letter), len(first))]


def _place(found: re.Match[str], seen: set[str]) -> str:
    name, folders, star, _ = found.groups()
    if folders or star:
        seen.add(number := f"{_STAR}{sum(n.startswith(_STAR) for n in seen)}")
        return f"(?P<{number}>(?:.*/)?)" if folders else f"(?P<{number}>[^/]*)"
    if name:
        again = name in seen
        seen.add(name)
        return f"(?P={name})" if again else f"(?P<{name}>{'[^/]+' if name == 'split' else '.+'})"
    return "[^/]"


def _escaped(text: str) -> str:
    """The text as a regular expression, but for its places."""
    ends = [0, *(e for m in _PART.finditer(text) for e in m.span()), len(text)]
    return "".join(text[a:b] if i % 2 else re.escape(text[a:b]) for i, (a, b) in enumerate(pairwise(ends)))


def _stems(root: Path, files: Iterable[Path]) -> dict[str, Path]:
    return {stem_below(root, p): p for p in sorted(files)}


def _short(key: Key, shared: set[str]) -> Key:
    """What stands in the places that both patterns have; a star's text counts without the ending of an image."""
    return tuple((n, without_suffix(v).strip("/")) for n, v in key if n in shared)


def _shortened(files: dict[Path, Key], shared: set[str]) -> set[Key]:
    return {_short(key, shared) for key in files.values()} - {()}


def _keyed(files: dict[Path, Key], shared: set[str]) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    for path, key in files.items():
        short = _short(key, shared)
        if found.setdefault(short, path) is not path:
            raise UserError(f"{path} and {found[short]} fill the pattern alike; make it longer, so that one file fits")
    return found
