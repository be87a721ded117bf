"""What is wrong with the bands of images, seen from their moments: warnings of `perpixel check`."""

from collections.abc import Iterator

import numpy as np

from perpixel.data.facts import Facts, ImageFacts, split_pairs
from perpixel.data.faults import Finding, Named, if_any

LOW_BYTE = 255
FLAT = 1e-12
SATURATED = 0.98
"""An 8 or 16-bit band whose mean is above this share of the full scale holds next to nothing but the highest value."""


def band_warnings(facts: Facts, names: tuple[str, ...], rel: Named) -> Iterator[Finding]:
    """Bands that are constant while others of the image vary, or saturated while others are not; 16-bit images of 8 bits' values.

    Args:
        facts: of the data set.
        names: of the bands, or none.
        rel: a file's name for messages.
    """
    images = [(rel(p.sample.image), p.image) for _, p in split_pairs(facts) if p.image and not p.image.constant]
    low = (f"{file}: {i.moments.bounds[1]:g} at most" for file, i in images if _is_low(i))
    yield from if_any(
        "16-bit images whose values fit into 8 bits",
        low if all(_is_low(i) for _, i in images if i.dtype == "uint16") else (),
        "save them as 8 bits: training takes 65535 as the full scale, so that these are nearly black",
    )
    flat = (f"{file}: {_called(bands, names)}" for file, i in images if (bands := _flat(i)))
    yield from if_any(
        "bands of one single value beside others that vary",
        flat,
        "look at them; leave a band that says nothing out by data.bands, or remove the image",
    )
    full = (f"{file}: {_called(bands, names)}" for file, i in images if (bands := _full(i)))
    yield from if_any(
        "bands that are saturated nearly everywhere", full, "look at them; export them with another scale"
    )


def _is_low(image: ImageFacts) -> bool:
    return image.dtype == "uint16" and 1 < image.moments.bounds[1] <= LOW_BYTE


def _flat(image: ImageFacts) -> list[int]:
    """Bands without any variance, where at least one has some."""
    known = image.moments.share > 0
    varies = image.moments.square - image.moments.mean**2 > FLAT * np.maximum(image.moments.square, FLAT)
    return np.flatnonzero(known & ~varies).tolist() if varies.any() else []


def _full(image: ImageFacts) -> list[int]:
    """Bands at the end of the scale where others are not: a page of white paper is no fault."""
    full = image.moments.mean > SATURATED
    is_whole = image.dtype in ("uint8", "uint16") and not _is_low(image)
    return np.flatnonzero(full).tolist() if is_whole and not full.all() else []


def _called(bands: list[int], names: tuple[str, ...]) -> str:
    words = [names[b] if b < len(names) else str(b + 1) for b in bands]
    return f"band {', '.join(words[:8])}" + (", ..." if len(words) > 8 else "")
