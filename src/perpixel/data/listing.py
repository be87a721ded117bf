"""The files below a folder: images, and what is passed over, counted by kind."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perpixel.core.image import SUFFIXES

LABEL_KINDS = {".mat": "MATLAB arrays", ".json": "often polygons", ".xml": "often boxes or polygons"}
"""Endings of files that often hold labels but are no images."""


@dataclass(frozen=True)
class Listing:
    """Image files below a folder, sorted by path, and every other file that is not hidden, links that lead nowhere too."""

    images: tuple[Path, ...]
    others: tuple[Path, ...]


def list_files(folder: Path) -> Listing:
    """Everything below a folder, through links too; hidden files and folders are passed over."""
    images, others = list[Path](), list[Path]()
    for path in _below(folder, (folder.resolve(),)):
        (images if path.suffix.lower() in SUFFIXES and path.is_file() else others).append(path)
    return Listing(tuple(sorted(images)), tuple(sorted(others)))


def list_images(folder: Path) -> list[Path]:
    """The image files below a folder, sorted by path."""
    return list(list_files(folder).images)


def kinds(files: tuple[Path, ...]) -> str:
    """How many files there are of each ending, in words.

    >>> kinds((Path("a.xml"), Path("b.xml"), Path("c.MAT"), Path("LICENCE")))
    '2 .xml, 1 .mat, 1 without an ending'
    """
    counts = Counter("broken links" if not p.exists() and p.is_symlink() else p.suffix.lower() for p in files)
    return ", ".join(f"{n} {kind or 'without an ending'}" for kind, n in counts.most_common())


def _below(folder: Path, entered: tuple[Path, ...]) -> Iterator[Path]:
    """Files below a folder. A link to what lies below an entered folder, or around it, adds nothing but a circle."""
    with os.scandir(folder) as entries:
        found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    for entry in found:
        path = folder / entry.name
        if not entry.is_dir():
            yield path
        elif not entry.is_symlink():
            yield from _below(path, entered)
        elif not any((there := path.resolve()).is_relative_to(e) or e.is_relative_to(there) for e in entered):
            yield from _below(path, (*entered, there))
