"""Which images `predict` was given, and where the results of each go."""

import glob
import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from perpixel.core.errors import UserError

ENDINGS = {"labels": ".png", "overlay": "_overlay.jpg", "uncertainty": "_uncertainty.png", "summary": ".json"}
ENDINGS |= {"probabilities": "_probabilities.npy", "geotiff": "_labels.tif"}
"""What a result adds to an image's stem."""


_WORLD = re.compile(r"\.([a-z0-9]{2,4}w|wld)", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """The images, the deepest folder that holds all that was given, and the results of earlier predictions that were passed over."""

    images: tuple[Path, ...]
    base: Path
    results: tuple[Path, ...]


def find_images(arguments: list[str]) -> Found:
    """Files as given, the images below folders, and what globs match, each once, in order.

    Raises:
        UserError: an argument matches nothing but results of earlier predictions, or nothing at all.
    """
    found: dict[Path, None] = {}
    results: dict[Path, None] = {}
    places = []
    for argument in arguments:
        path, matches = Path(argument), _matches(argument)
        own = [p for p in matches if p != path and is_result(p)]  # a file that is named is meant
        images = [p for p in matches if p == path or p not in set(own)]
        if not images:
            what = f"nothing but results of earlier predictions ({own[0].name})" if own else "no image there"
            raise UserError(f"{argument}: {what}; give image files, folders of images or quoted globs")
        found.update(dict.fromkeys(images))
        results.update(dict.fromkeys(own))
        places += [path] if path.is_dir() else [p.parent for p in images]
    base = Path(os.path.commonpath([os.path.abspath(p) for p in places]))
    return Found(tuple(found), base, tuple(p for p in results if p not in found))


def _matches(argument: str) -> list[Path]:
    from perpixel.core.image import SUFFIXES
    from perpixel.data.listing import list_images

    path = Path(argument)
    if path.is_dir():
        return list_images(path)
    if path.exists():
        return [path]
    return [Path(p) for p in sorted(glob.glob(argument, recursive=True)) if Path(p).suffix.lower() in SUFFIXES]


def passed_over(arguments: list[str]) -> list[str]:
    """A line for each folder given that holds other files than images, with their kinds; results of ours do not count."""
    from perpixel.data.listing import kinds, list_files

    lines = []
    for folder in (a for a in arguments if Path(a).is_dir()):
        found = list_files(Path(folder))
        others = tuple(p for p in found.others if not (_is_summary(p) or is_result(p) or p.name == "summary.json"))
        others = _without_places(others, {p.with_suffix("") for p in found.images})
        if others:
            lines.append(f"left out  {len(others)} files of {folder} not read as images: {kinds(others)}")
    return lines


def _without_places(files: tuple[Path, ...], stems: set[Path]) -> tuple[Path, ...]:
    """Without those that say where an image lies on the earth: world files, and the .prj beside one."""
    world = {p for p in files if _WORLD.fullmatch(p.suffix) and p.with_suffix("") in stems}
    placed = {p.with_suffix("") for p in world}
    return tuple(
        p for p in files if p not in world and not (p.suffix.lower() == ".prj" and p.with_suffix("") in placed)
    )


def is_result(path: Path) -> bool:
    """Whether a file is what `Prediction.save` wrote: the summary that it writes last lies beside it."""
    stems = [path.name.removesuffix(end) for end in ENDINGS.values() if path.name.endswith(end)]
    return any(_is_summary(path.with_name(f"{stem}.json")) for stem in stems if stem)


def _is_summary(file: Path) -> bool:
    try:
        with open(file, encoding="utf-8") as stream:
            found = json.loads(stream.read(2**20))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"height", "width", "share", "mean_confidence"} <= found.keys()


def stems(found: Found) -> list[Path]:
    """Where the results of each image go below --out, without an ending: as the images lie below what was given.

    Two of one stem in one folder keep their endings (a_jpg, a_png); where that is not enough, they are numbered.
    """
    places = [Path(os.path.relpath(p, found.base)) for p in found.images]
    counts: dict[str, int] = {}
    for place in places:
        counts[_folded(place.with_suffix(""))] = counts.get(_folded(place.with_suffix("")), 0) + 1
    taken = {"summary.json"}  # the list of all
    unique = []
    for place in places:
        plain = place.with_suffix("")
        name = plain if counts[_folded(plain)] == 1 else plain.with_name(f"{plain.name}_{place.suffix[1:].lower()}")
        numbered = (name if n == 1 else name.with_name(f"{name.name}_{n}") for n in itertools.count(1))
        unique.append(next(x for x in numbered if taken.isdisjoint(_results(x))))
        taken |= _results(unique[-1])
    return unique


def _results(place: Path) -> set[str]:
    return {_folded(place.with_name(place.name + end)) for end in ENDINGS.values()}


def _folded(place: Path) -> str:
    return str(place).casefold()  # some file systems tell A from a, some do not


def refuse_overwriting(found: Found, places: list[Path], out: Path) -> None:
    """Raises UserError where a result would be written over an image that was given."""
    given = {p.resolve() for p in found.images}
    for place in places:
        for end in ENDINGS.values():
            result = out / place.with_name(place.name + end)
            if result.resolve() in given:
                raise UserError(f"{result} is one of the images and would be overwritten; give another folder by --out")
