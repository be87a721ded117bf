"""What the mask values of a data set mean: told by a dataset.yaml or a layout, clear by themselves, or not known.

Smoothing (a resize by anything but nearest, JPEG) leaves values along the borders of regions. They are told from
classes by their shape: hardly any of their pixels has the same value to the right and below.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from perpixel.core import IGNORE
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.data.samples import Dataset
from perpixel.data.survey import MaskFacts, PairFacts
from perpixel.data.values import Tally, taxonomy_of_values
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Value

MOST_CLASSES = 254
MANY_CLASSES = 40
THIN = 0.3
"""A value with less than this share of core pixels is thin."""

Facts = Mapping[str, list[PairFacts]]


@dataclass(frozen=True)
class Meaning:
    """What is known of the values.

    Args:
        taxonomy: the classes, or None where nobody can tell.
        inferred: whether the values alone told the classes.
        values: all masks' values, as colours if any mask has colours.
        held: how many masks hold each value.
        smeared: nobody told the classes, and many values look smoothed rather than drawn; the taxonomy, if there
            is one, is that of the values which were drawn.
    """

    taxonomy: Taxonomy | None
    inferred: bool
    values: Tally
    held: Counter[Value]
    palette: Array | None
    smeared: bool = False

    @property
    def needs_names(self) -> bool:
        """The values may well be classes, but only the user can say which."""
        return self.taxonomy is None and not self.smeared and 0 < self.values.distinct <= MOST_CLASSES


def meaning_of(dataset: Dataset, facts: Facts) -> Meaning:
    """Finds the taxonomy by the rule that training follows (train and val speak), but sees through smoothed masks."""
    masks = _masks(facts)
    colours = any(m.colours for m in masks)
    values, held = _total(masks, colours)
    palette = next((m.palette for m in masks if m.palette is not None), None)
    if dataset.taxonomy is not None or not values.pixels:
        return Meaning(dataset.taxonomy, False, values, held, palette)
    spoken, counted = _total(_masks({s: f for s, f in facts.items() if s in ("train", "val")}) or masks, colours)
    is_jpeg = any(is_jpeg_mask(p) for pairs in facts.values() for p in pairs)
    if len(spoken.pixels) <= MANY_CLASSES and (taxonomy := _speaks(spoken.pixels, palette)) is not None:
        return Meaning(taxonomy, True, values, held, palette)
    anchors = _anchors(spoken, is_jpeg)
    if anchors is not None:
        taxonomy = _speaks(anchors, palette)
        return Meaning(taxonomy, taxonomy is not None, values, held, palette, smeared=True)
    taxonomy = _speaks(spoken.pixels, palette) or _speaks(_usual(spoken, counted, len(masks)), palette)
    too_many = not colours and len(spoken.pixels) > MANY_CLASSES
    return Meaning(taxonomy, taxonomy is not None, values, held, palette, smeared=taxonomy is None and too_many)


def is_jpeg_mask(pair: PairFacts) -> bool:
    """Whether a pair's mask is a JPEG file, which keeps no value exactly."""
    return pair.sample.mask is not None and pair.sample.mask.suffix.lower() in (".jpg", ".jpeg")


def in_terms(mask: MaskFacts, colours: bool) -> Tally | None:
    """A mask's tally in integers or in colours, as `Taxonomy.encode` would see it; None where that is impossible."""
    if mask.colours == colours:
        return mask.tally
    seen, palette = mask.tally, mask.palette
    if mask.colours or (palette is None and any(isinstance(v, int) and not 0 <= v <= 255 for v in seen.pixels)):
        return None
    return Tally(_coloured(seen.pixels, palette), _coloured(seen.core, palette), seen.distinct)


def labels_of(taxonomy: Taxonomy) -> dict[Value, int]:
    """Mask value -> label, 255 for those to ignore."""
    labels = {v: label for label, values in enumerate(taxonomy.values) for v in values}
    return labels | dict.fromkeys(taxonomy.ignore, IGNORE)


def label_counts(mask: MaskFacts, taxonomy: Taxonomy) -> tuple[Counter[int], Counter[Value]]:
    """Pixels of each label (255 among them), and pixels of each value that no class names."""
    labels, known, strange = labels_of(taxonomy), Counter[int](), Counter[Value]()
    seen = in_terms(mask, taxonomy.uses_colours)
    for value, n in (seen.pixels if seen else {}).items():
        if value in labels:
            known[labels[value]] += n
        else:
            strange[value] += n
    return known, strange


def show(value: Value) -> str:
    """A value in words.

    >>> show((128, 0, 64)), show(7)
    ('128-0-64', '7')
    """
    return "-".join(str(v) for v in value) if isinstance(value, tuple) else str(value)


def looks_smoothed(tally: Tally, strange: Counter[Value]) -> bool:
    """Whether the values of one mask that no class names come from smoothing: many, and thin."""
    pixels, core = sum(strange.values()), sum(tally.core[v] for v in strange)
    return len(strange) > MANY_CLASSES or (len(strange) >= 3 and core < THIN * pixels)


def _anchors(values: Tally, is_jpeg: bool) -> list[Value] | None:
    """The values that were drawn, if the rest is smoothing; None if nothing says that the masks were smoothed."""
    total = sum(values.pixels.values())
    thin = [v for v, n in values.pixels.items() if values.core[v] < THIN * n]
    solid = [v for v, n in values.pixels.items() if v not in thin and n > 0.005 * total]
    if not solid or sum(values.pixels[v] for v in solid) < 0.6 * total:
        return None
    many = len(thin) >= 3 and len(thin) > values.distinct / 2
    return sorted(solid, key=str) if many or (is_jpeg and len(values.pixels) - len(solid) >= 3) else None


def _usual(values: Tally, held: Counter[Value], masks: int) -> list[Value]:
    """The values but for those that are in one mask or two of a hundred and of hardly any pixel."""
    total = sum(values.pixels.values())
    return [v for v, n in values.pixels.items() if held[v] > max(1, 0.02 * masks) or n > 0.001 * total]


def _speaks(values: Counter[Value] | list[Value], palette: Array | None) -> Taxonomy | None:
    try:
        return taxonomy_of_values(values, palette, "")
    except UserError:
        return None


def _masks(facts: Facts) -> list[MaskFacts]:
    return [p.mask for pairs in facts.values() for p in pairs if p.mask is not None]


def _total(masks: list[MaskFacts], colours: bool) -> tuple[Tally, Counter[Value]]:
    """The sum of the masks' tallies, and how many masks hold each value."""
    pixels, core, held = Counter[Value](), Counter[Value](), Counter[Value]()
    for mask in masks:
        seen = in_terms(mask, colours) or mask.tally
        pixels.update(seen.pixels)
        core.update(seen.core)
        held.update(seen.pixels.keys())
    return Tally(pixels, core, max([len(pixels), *(m.tally.distinct for m in masks)])), held


def _coloured(counts: Counter[Value], palette: Array | None) -> Counter[Value]:
    result = Counter[Value]()
    for value, n in counts.items():
        assert isinstance(value, int)
        if palette is None:
            result[value, value, value] += n
        else:
            r, g, b = palette[value] if value < len(palette) else (0, 0, 0)
            result[int(r), int(g), int(b)] += n
    return result
