"""Palettes that differ from mask to mask: then a value means another colour, and so perhaps another class, in each file.

Programs that reduce an image's colours (Pillow's adaptive palettes, most writers of GIF) order them file by file.
"""

import numpy as np

from perpixel.core.image import RawMask
from perpixel.data.facts import Facts, colour_at, split_pairs
from perpixel.labels import Taxonomy

_Colour = tuple[int, int, int]


def palette_conflict(facts: Facts) -> str | None:
    """Words for the first value that has two colours in the palettes of two masks that use it; None if no value has."""
    seen: dict[int, tuple[_Colour, str]] = {}
    for _, pair in split_pairs(facts):
        mask = pair.mask
        if mask is None or mask.palette is None:
            continue
        for value in mask.tally.pixels:
            assert isinstance(value, int)
            colour, name = colour_at(mask.palette, value), str(pair.sample.mask_path)
            first, where = seen.setdefault(value, (colour, name))
            if first != colour:
                return (
                    f"the palettes of the masks differ: value {value} is colour {list(first)} in {where} and "
                    f"{list(colour)} in {name}"
                )
    return None


def other_order(mask: RawMask, taxonomy: Taxonomy) -> str | None:
    """Words for a class that the palette of a mask shows in the colour of another one, where values count; None if there is none.

    Colours of no class say nothing: they may have been chosen by anybody.
    """
    if mask.palette is None or taxonomy.uses_colours or mask.values.ndim == 3:
        return None
    for value in np.flatnonzero(np.bincount(mask.values.ravel())).tolist():
        label, colour = taxonomy.label_of.get(value, 255), colour_at(mask.palette, value)
        if colour in taxonomy.colours and label < taxonomy.num_classes and colour != taxonomy.colours[label]:
            meant = taxonomy.names[taxonomy.colours.index(colour)]
            return f'value {value} is "{taxonomy.names[label]}" for the model, and has the colour {list(colour)} of "{meant}" here'
    return None
