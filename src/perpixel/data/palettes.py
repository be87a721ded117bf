"""Palettes that differ from mask to mask: then a value means another colour, and so perhaps another class, in each file.

Programs that reduce an image's colours (Pillow's adaptive palettes, most writers of GIF) order them file by file.
"""

from perpixel.data.facts import Facts, colour_at, split_pairs

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
