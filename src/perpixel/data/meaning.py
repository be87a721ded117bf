"""What the mask values of a data set mean: told by a dataset.yaml or a layout, clear by themselves, or not known.

Smoothing (a resize by anything but nearest, JPEG) leaves values along the borders of regions. They are told from
classes by their shape: hardly any of their pixels has the same value to the right and below.
"""

from collections import Counter
from dataclasses import dataclass

from perpixel.core.errors import UserError
from perpixel.core.image import NO_NUMBER, Array
from perpixel.data.facts import Facts, PairFacts, masks_of, total
from perpixel.data.palettes import palette_conflict
from perpixel.data.samples import Dataset
from perpixel.data.speaking import first_palette
from perpixel.data.values import Tally, taxonomy_of_values
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Value

MOST_CLASSES = 254
MANY_CLASSES = 40
THIN = 0.3
"""A value with less than this share of core pixels is thin."""


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
    masks, is_jpeg = masks_of(facts), any(is_jpeg_mask(p) for pairs in facts.values() for p in pairs)
    conflict = palette_conflict(facts) if dataset.classes is None else None
    colours = any(m.colours for m in masks) or conflict is not None
    values, held = total(masks, colours)
    palette = first_palette(facts)
    if dataset.classes is not None or not values.pixels:
        return Meaning(dataset.classes, False, values, held, palette)
    spoken, counted = total(masks_of({s: f for s, f in facts.items() if s in ("train", "val")}) or masks, colours)
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
    return pair.sample.mask_path is not None and pair.sample.mask_path.suffix.lower() in (".jpg", ".jpeg")


def show(value: Value) -> str:
    """A value in words.

    >>> show((128, 0, 64)), show(7)
    ('128-0-64', '7')
    """
    return "-".join(map(str, value)) if isinstance(value, tuple) else "nan" if value == NO_NUMBER else str(value)


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
