"""The classes that masks tell by themselves, where nobody wrote them down: one rule for training, `check` and `evaluate`."""

from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.data.facts import Facts, masks_of, split_pairs, total
from perpixel.data.palettes import palette_conflict
from perpixel.data.values import taxonomy_of_values
from perpixel.labels import Taxonomy


def taxonomy_of(facts: Facts) -> Taxonomy:
    """The taxonomy that the masks of all given splits speak for themselves; a palette in the files gives the colours.

    Where palettes differ from file to file, colours are what the masks hold; see `taxonomy_of_values` for the rest.

    Raises:
        UserError: the values have no one meaning; the message says how to name them.
    """
    masks = masks_of(facts)
    where = next((str(p.sample.mask_path.parent) for _, p in split_pairs(facts) if p.sample.mask_path), "the data")
    if conflict := palette_conflict(facts):
        raise UserError(
            f"{conflict}; name the classes by their colours in a dataset.yaml (perpixel check DATA --write makes a starter)"
        )
    values, _ = total(masks, any(m.colours for m in masks))
    return taxonomy_of_values(values.pixels, first_palette(facts), where)


def first_palette(facts: Facts) -> Array | None:
    """The palette of the first mask that has one."""
    return next((m.palette for m in masks_of(facts) if m.palette is not None), None)
