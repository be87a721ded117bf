"""What of a data set is measured where nobody says it."""

import hashlib
from collections.abc import Mapping
from typing import Any

from perpixel.data.samples import Dataset


def identity(dataset: Dataset) -> str:
    """SHA-256 of the names and file sizes of all images of a data set, wherever it lies and however it is divided."""
    samples = sorted({(s.name, s.image) for found in dataset.splits.values() for s in found}, key=str)
    lines = (f"{name} {image.stat().st_size if image.is_file() else 0}\n" for name, image in samples)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def default_split(dataset: Dataset, trained_on: Mapping[str, Any]) -> str:
    """ "val"; "all" where nobody divided the data, and the model was not trained on it, so that all of it can measure.

    Args:
        dataset: to measure on.
        trained_on: what a bundle says of its data: `name`, and `identity` where a version that knew it made the bundle.
    """
    if not dataset.hashed:
        return "val" if dataset.splits.get("val") or len(dataset.splits) != 1 else next(iter(dataset.splits))
    known = trained_on.get("identity")
    same = known == identity(dataset) if known else trained_on.get("name") == dataset.name
    return "val" if same else "all"
