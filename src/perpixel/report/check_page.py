"""`write_check_page`: what `perpixel check` found, with a picture of each kind of fault, as one self-contained HTML page."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array, read_image
from perpixel.data.check import Checked, overview
from perpixel.data.faults import Finding, relative
from perpixel.data.pairs import read_labels
from perpixel.data.samples import Sample
from perpixel.data.window import cut
from perpixel.infer.images import display_image
from perpixel.labels import Taxonomy
from perpixel.report.figures import css_colour
from perpixel.report.pictures import data_uri, shrink
from perpixel.report.render import write_page

PICTURED = 4
"""So many samples of a fault are shown."""
SHOWN_FILES = 200
SIDE = 360


def write_check_page(path: Path, checked: Checked) -> Path:
    """Writes the page.

    Args:
        path: of the page.
        checked: what `check_dataset` found.
    """
    taxonomy = checked.meaning.taxonomy
    kinds = (("defect", checked.defects), ("warning", checked.warnings))
    context = {
        "name": checked.dataset.name or checked.dataset.root.name,
        "facts": overview(checked),
        "defects": len(checked.defects),
        "warnings": len(checked.warnings),
        "classes": checked.classes[:SHOWN_FILES],
        "legend": [(n, css_colour(c)) for n, c in zip(taxonomy.names, taxonomy.colours, strict=True)]
        if taxonomy
        else [],
        "findings": [_finding(kind, f, checked) for kind, found in kinds for f in found],
    }
    return write_page(path, "check.html.j2", context)


def _finding(kind: str, finding: Finding, checked: Checked) -> dict[str, Any]:
    samples = list(_samples(finding, checked))[:PICTURED]
    return {
        "kind": kind,
        "text": finding.text,
        "files": finding.files[:SHOWN_FILES],
        "more": max(0, len(finding.files) - SHOWN_FILES),
        "fix": finding.fix,
        "shots": [shot for s in samples if (shot := _shot(s, checked.meaning.taxonomy))],
    }


def _samples(finding: Finding, checked: Checked) -> Iterator[Sample]:
    """The samples whose image or mask the lines of a finding name, in their order, each once."""
    root, by_name = checked.dataset.root, dict[str, Sample]()
    for samples in checked.dataset.splits.values():
        for sample in samples:
            for file in (sample.image, sample.mask_path):
                if file is not None:
                    by_name.setdefault(relative(root, file), sample)
    seen = set[Path]()
    for line in finding.files:
        for part in re.split(r" = |: | \(|\)|, | and ", line):
            named = by_name.get(part.strip())
            if named is not None and named.image not in seen:
                seen.add(named.image)
                yield named


def _shot(sample: Sample, taxonomy: Taxonomy | None) -> dict[str, Any] | None:
    """Image, and the mask in its colours where it can be read; None where the image itself cannot."""
    panels = list[dict[str, Any]]()
    with suppress(UserError):
        image = display_image(cut(read_image(sample.image), sample.window))
        panels.append(_panel("image", image))
        if taxonomy is not None and sample.mask is not None:
            labels = read_labels(sample, taxonomy)
            panels.append(_panel("mask", _coloured(labels, taxonomy)))
            if labels.shape == image.shape[:2]:
                panels.append(_panel("borders of the mask on the image", _bordered(image, labels)))
    return {"name": sample.name, "panels": panels} if panels else None


def _coloured(labels: Array, taxonomy: Taxonomy) -> Array:
    picture = taxonomy.colourise(labels)
    picture[labels == IGNORE] = 128
    return picture


def _bordered(image: Array, labels: Array) -> Array:
    """The image with the borders between labels in yellow, as wide as it takes to be seen when it is shrunk."""
    border = np.zeros(labels.shape, bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    for _ in range(max(labels.shape) // (2 * SIDE)):
        grown = border.copy()
        grown[1:] |= border[:-1]
        grown[:, 1:] |= border[:, :-1]
        border = grown
    picture = image.copy()
    picture[border] = (255, 230, 0)
    return picture


def _panel(kind: str, picture: Array) -> dict[str, Any]:
    small = shrink(picture, SIDE)
    return {"kind": kind, "uri": data_uri(small), "width": small.width, "height": small.height}
