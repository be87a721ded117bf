"""Decoded pairs in a file, for sets that do not fit into memory: a crop then costs a copy of its pages instead of a whole JPEG.

FOLDER/KEY.raw    image (C, H, W), labels (H, W), image, ... as they are in memory
FOLDER/KEY.json   where each begins, its shape and number type; written last, so that a file without one is none
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.core.files import atomic_write, clean_leftovers, write_text
from perpixel.core.reporter import Reporter
from perpixel.data.loader import TrainingSet, nbytes

Pair = tuple[Tensor, Tensor]
FORMAT = "perpixel decoded 1"
GB = 1e9


class DecodedFile(Sequence[Pair]):
    """The pairs of a file, mapped and not read: what is not looked at stays on the disk. Writing to one does not alter it.

    Raises:
        UserError: there is no such file, or not a whole one.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            index = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            self.entries, whole = index["entries"], index["format"] == FORMAT and index["bytes"] == file.stat().st_size
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: no decoded images ({error})") from error
        if not whole:
            raise UserError(f"{file}: not the decoded images that {file.stem}.json describes; remove both")

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: Any) -> Any:
        entry = self.entries[index]
        shapes, types = (entry["image"], entry["labels"]), (entry["dtype"], "uint8")
        sizes = [int(np.prod(shape)) * np.dtype(t).itemsize for shape, t in zip(shapes, types, strict=True)]
        starts = (entry["offset"], entry["offset"] + sizes[0])
        image, labels = (
            torch.from_numpy(self._bytes[a : a + n].view(t).reshape(shape))
            for a, n, t, shape in zip(starts, sizes, types, shapes, strict=True)
        )
        return image, labels

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return DecodedFile, (self.file,)  # a worker maps the file itself

    @cached_property
    def _bytes(self) -> Any:
        return np.memmap(self.file, np.uint8, mode="c")


def keep_decoded(pairs: TrainingSet, folder: str | Path | None, what: Callable[[], Any], report: Reporter) -> str:
    """Keeps the pairs decoded, in memory where they fit, else in a file where a folder is given; says in words where they are.

    Args:
        pairs: what is trained on.
        folder: of the files; one of the same samples, treated alike, is used again. None keeps none.
        what: gives JSON that tells these pairs from all others: their files, and what is done to them when they are read.
        report: told how far decoding is; it may raise to stop.

    Raises:
        UserError: a pair cannot be read, or the disk has no room.
    """
    if pairs.keep_in_memory(report):
        return "in memory"
    need = nbytes(pairs.decode(0)) * len(pairs) / GB
    if folder is None:
        return f"decoded each time, for {need:.1f} GB are too much for memory; --set data.cache=DIR keeps them decoded"
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{hashlib.sha256(json.dumps(what(), sort_keys=True, default=str).encode()).hexdigest()[:32]}.raw"
    with FileLock(place / f"{file.stem}.lock"):  # of several processes one writes
        try:
            found = DecodedFile(file)
        except UserError:
            _write(pairs, file, need, report)
            found = DecodedFile(file)
    pairs.keep(found)
    return f"decoded in {file} ({file.stat().st_size / GB:.1f} GB)"


def _write(pairs: TrainingSet, file: Path, need: float, report: Reporter) -> None:
    clean_leftovers(file.parent)
    free = shutil.disk_usage(file.parent).free / GB
    if need > free:
        raise UserError(
            f"data.cache: {file.parent} has {free:.1f} GB free, the decoded images need about {need:.1f} GB"
        )
    entries, offset = [], 0
    with atomic_write(file) as aside, open(aside, "wb") as out:
        for image, labels in pairs.decoded(report):
            entries.append(
                {
                    "offset": offset,
                    "image": list(image.shape),
                    "labels": list(labels.shape),
                    "dtype": str(image.numpy().dtype),
                }
            )
            for part in (image, labels):
                offset += out.write(part.numpy().tobytes())
            offset += out.write(bytes(-offset % 64))  # numbers begin where the processor likes them to
    write_text(file.with_suffix(".json"), json.dumps({"format": FORMAT, "bytes": offset, "entries": entries}))
    os.utime(file)
