"""What is known of the files of a data set once each was looked at: numbers, no pixels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from perpixel.core import Size
from perpixel.core.image import Array
from perpixel.data.samples import Sample
from perpixel.data.values import Tally
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Value


@dataclass(frozen=True)
class Moments:
    """mean and square (C,): of every 7th pixel of a sample, the mean of each channel and of its squares, in [0, 1] for 8
    and 16 bits and as stored for floats; size (H, W), of the sample's window; share (C,), of these pixels that were
    measured (no NaN, no "no data"); bounds, the least and the greatest value as stored."""

    mean: Array
    square: Array
    size: Size
    share: Array
    bounds: tuple[float, float]


@dataclass(frozen=True)
class ImageFacts:
    """size (H, W) upright; dtype as numpy names it; digest, SHA-256 of the pixels (in the sample's window);
    not_finite, how many values were not measured (NaN, infinite, "no data"); orientation, the EXIF tag, 1 to 8;
    alpha, "kept" or "dropped" for a last band that is tagged as alpha and varies, else ""; choices, how many channels it might
    have, with that band and without; more, further pictures in the file."""

    size: Size
    channels: int
    dtype: str
    digest: str
    constant: bool
    not_finite: int
    orientation: int
    alpha: str
    choices: tuple[int, ...]
    more: int
    moments: Moments


@dataclass(frozen=True)
class MaskFacts:
    """size (H, W) of the whole file, upright; tally and digest of the sample's window; colours: a (H, W, 3) mask; more, further
    pictures in the file."""

    size: Size
    tally: Tally
    digest: str
    colours: bool
    palette: Array | None
    orientation: int
    more: int


@dataclass(frozen=True)
class PairFacts:
    """What is known of a sample; `image` or `mask` is None where the file was not looked at or cannot be used, and
    `errors` says why."""

    sample: Sample
    image: ImageFacts | None
    mask: MaskFacts | None
    errors: tuple[tuple[Path, str], ...] = ()


Facts = Mapping[str, list[PairFacts]]
"""The facts of every sample, by split."""


def split_pairs(facts: Facts) -> Iterator[tuple[str, PairFacts]]:
    """(split, facts of the pair) for every sample of every split."""
    return ((split, pair) for split, pairs in facts.items() for pair in pairs)


def usual_channels(images: Iterable[ImageFacts]) -> int:
    """How many channels most of the images have; 0 where there is none."""
    return next((c for c, _ in Counter(i.channels for i in images).most_common(1)), 0)


def masks_of(facts: Facts) -> list[MaskFacts]:
    """The facts of every mask that could be used."""
    return [pair.mask for _, pair in split_pairs(facts) if pair.mask is not None]


def in_terms(mask: MaskFacts, colours: bool) -> Tally | None:
    """A mask's tally in integers or in colours, as `Taxonomy.encode` would see it; None where that is impossible."""
    if mask.colours == colours:
        return mask.tally
    seen, palette = mask.tally, mask.palette
    if mask.colours or (palette is None and any(isinstance(v, int) and not 0 <= v <= 255 for v in seen.pixels)):
        return None
    return Tally(_coloured(seen.pixels, palette), _coloured(seen.core, palette), seen.distinct)


def label_counts(mask: MaskFacts, taxonomy: Taxonomy) -> tuple[Counter[int], Counter[Value]]:
    """Pixels of each label (255 among them), and pixels of each value that no class names."""
    known, strange = Counter[int](), Counter[Value]()
    seen = in_terms(mask, taxonomy.uses_colours)
    for value, n in (seen.pixels if seen else {}).items():
        if value in taxonomy.label_of:
            known[taxonomy.label_of[value]] += n
        else:
            strange[value] += n
    return known, strange


def total(masks: list[MaskFacts], colours: bool) -> tuple[Tally, Counter[Value]]:
    """The sum of the masks' tallies, and how many masks hold each value."""
    pixels, core, held = Counter[Value](), Counter[Value](), Counter[Value]()
    for mask in masks:
        seen = in_terms(mask, colours) or mask.tally
        pixels.update(seen.pixels)
        core.update(seen.core)
        held.update(seen.pixels.keys())
    return Tally(pixels, core, max([len(pixels), *(m.tally.distinct for m in masks)])), held


def colour_at(palette: Array | None, value: int) -> tuple[int, int, int]:
    """The colour of an index: of the palette, black beyond its end; the grey of the value itself without a palette."""
    if palette is None:
        return (value, value, value)
    r, g, b = palette[value] if value < len(palette) else (0, 0, 0)
    return (int(r), int(g), int(b))


def _coloured(counts: Counter[Value], palette: Array | None) -> Counter[Value]:
    result = Counter[Value]()
    for value, n in counts.items():
        assert isinstance(value, int)
        result[colour_at(palette, value)] += n
    return result
