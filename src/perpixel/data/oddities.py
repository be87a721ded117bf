"""What is worth a look in a data set but may be meant: the warnings of `perpixel check`."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial

from perpixel.core import IGNORE
from perpixel.data.band_faults import band_warnings
from perpixel.data.facts import Facts, MaskFacts, label_counts, split_pairs
from perpixel.data.faults import Finding, Named, if_any, relative, same_image
from perpixel.data.meaning import MANY_CLASSES, Meaning, is_jpeg_mask
from perpixel.data.notes import two_codes
from perpixel.data.palettes import palette_conflict
from perpixel.data.samples import Dataset
from perpixel.labels import Taxonomy

_MIXED = "save all in one; training takes shares of the full scale (255, 65535, floats of 0 to 1) as the same, and refuses others"
RARE = 0.001
"""A class with less than this share of all labelled pixels is called rare."""


def warnings_of(dataset: Dataset, facts: Facts, meaning: Meaning) -> list[Finding]:
    """What may spoil training but may also be meant."""
    rel = partial(relative, dataset.root)
    classes = _classes(facts, meaning.taxonomy) if meaning.taxonomy is not None else ()
    palettes = _palettes(facts, dataset.classes) if dataset.classes is not None else ()
    return [
        *classes,
        *palettes,
        *_values(facts, meaning, rel),
        *_images(facts, rel),
        *band_warnings(facts, dataset.bands, rel),
        *_copies(facts, rel),
        *_splits(facts),
    ]


def _classes(facts: Facts, taxonomy: Taxonomy) -> Iterator[Finding]:
    pixels = {split: Counter[int]() for split in facts}
    for split, pair in split_pairs(facts):
        if pair.mask is not None:
            pixels[split] += label_counts(pair.mask, taxonomy)[0]
    total = sum(pixels.values(), Counter[int]())
    labelled = sum(total.values()) - total[IGNORE]
    untaught = [k for k in range(taxonomy.num_classes) if "train" in facts and not pixels["train"][k]]
    names = taxonomy.names
    if not labelled:
        return
    for split in pixels:
        only = [names[k] for k in untaught if pixels[split][k]]
        yield from _named(f"classes that occur in {split} but never in train", only, "move some images to train")
    nowhere = [names[k] for k in untaught if not total[k]]
    yield from _named("classes that never occur", nowhere, "remove them if they are not meant")
    rare = [f"{names[k]} ({total[k] / labelled:.3%})" for k in range(len(names)) if 0 < total[k] < RARE * labelled]
    fix = "class weights help; so do more images that hold them"
    yield from _named(f"classes of less than {RARE:.1%} of the pixels", rare, fix)


def _named(text: str, names: list[str], fix: str) -> Iterator[Finding]:
    """A finding about classes, all of them on one line."""
    yield from if_any(text, [", ".join(names)] if names else [], fix)


def _palettes(facts: Facts, classes: Taxonomy) -> Iterator[Finding]:
    """Palettes that differ where the classes were named; where they were not, that is a defect."""
    if conflict := palette_conflict(facts):
        counts, other = ("colours", "values") if classes.uses_colours else ("values", "colours")
        fix = f"the {counts} are what counts here; if that is wrong, give the classes by their {other} in dataset.yaml"
        yield Finding(
            "the palettes of the masks differ: a value has another colour from file to file", (conflict,), fix
        )


def _values(facts: Facts, meaning: Meaning, rel: Named) -> Iterator[Finding]:
    jpeg = (rel(p.sample.mask_path) for _, p in split_pairs(facts) if is_jpeg_mask(p))
    yield from if_any("masks stored as JPEG, which alters values along borders", jpeg, "make them again as PNG")
    if meaning.taxonomy is None:
        return
    if meaning.inferred and (_number_objects(facts) or meaning.taxonomy.num_classes > MANY_CLASSES):
        last = meaning.taxonomy.num_classes - 1
        fix = "if so, make masks that number classes instead (1 for every object of a kind)"
        yield Finding("the mask values may number single objects (instances)", (f"values 0 to {last}",), fix)
    if meaning.inferred and meaning.taxonomy.values == ((0,), (1,)):
        yield from _two_codes(facts, rel)
    blank = (
        rel(p.sample.mask_path)
        for split, p in split_pairs(facts)
        if split == "train" and p.mask is not None and set(label_counts(p.mask, meaning.taxonomy)[0]) == {IGNORE}
    )
    yield from if_any("training masks of ignored pixels alone", blank, "they teach nothing; label or remove them")


def _number_objects(facts: Facts) -> bool:
    """Whether every mask holds exactly 0 to m, with many different m: classes leave gaps, counted objects do not."""
    held = [set(p.mask.tally.pixels) - {IGNORE} for _, p in split_pairs(facts) if p.mask is not None]
    return all(values == set(range(len(values))) for values in held) and len({len(values) for values in held}) >= 4


def _two_codes(facts: Facts, rel: Named) -> Iterator[Finding]:
    """Foreground is 1 in some masks and 255 in others, which would be taken for pixels to ignore."""
    files = two_codes((rel(p.sample.mask_path), p.mask) for _, p in split_pairs(facts) if p.mask is not None)
    fix = "if 255 is foreground in these masks, write 1 instead"
    yield from if_any("masks that hold 255 (ignored) and never 1, beside masks that hold 1 and never 255", files, fix)


def _images(facts: Facts, rel: Named) -> Iterator[Finding]:
    pairs = [(rel(p.sample.image), p) for _, p in split_pairs(facts)]
    images = [(name, p.image) for name, p in pairs if p.image is not None]
    constant = (name for name, image in images if image.constant)
    yield from if_any(
        "images of one single colour", constant, "look at them; remove them if they are blank by accident"
    )
    strange = (f"{name}: {image.not_finite} values" for name, image in images if image.not_finite)
    yield from if_any(
        "images with pixels that were not measured (NaN, infinite, no-data)",
        strange,
        "nothing, if that is right: the mean of the training images stands there, and what was measured in no channel is ignored",
    )
    types: dict[str, list[str]] = defaultdict(list)
    for name, image in images:
        types[image.dtype].append(name)
    usual = max(types, key=lambda t: len(types[t]), default="")
    mixed = (f"{name}: {t}" for t, names in types.items() if t != usual for name in names)
    yield from if_any(f"images of another number type than the usual {usual}", mixed, _MIXED)
    unsure = (
        f"{name}: orientation {p.image.orientation}"
        for name, p in pairs
        if p.image
        and p.mask
        and p.image.size == p.mask.size
        and p.image.orientation != p.mask.orientation
        and (p.image.size[0] == p.image.size[1] or (p.image.orientation > 4) == (p.mask.orientation > 4))
    )
    yield from if_any(
        "images that are turned by EXIF orientation, where the size cannot tell whether the mask was drawn on the "
        "turned image",
        unsure,
        "look at image and mask together",
    )


def _copies(facts: Facts, rel: Named) -> Iterator[Finding]:
    same = (
        " = ".join(rel(p.sample.image) for _, p in group)
        for group in same_image(facts)
        if len({split for split, _ in group}) == 1
    )
    yield from if_any("the same image, pixel by pixel, more than once in a split", same, "keep one of them")
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for _, pair in split_pairs(facts):
        if pair.image and pair.mask and _has_shape(pair.mask):
            groups[pair.mask.digest].append((rel(pair.sample.mask_path), pair.image.digest))
    twice = (" = ".join(n for n, _ in g) for g in groups.values() if len({image for _, image in g}) == len(g) > 1)
    yield from if_any("the same mask for different images", twice, "one may belong to another image: look at them")


def _has_shape(mask: MaskFacts) -> bool:
    """Whether a mask is unlikely to equal another one by chance: two values of 100 core pixels or more each."""
    return sum(n >= 100 for n in mask.tally.core.values()) >= 2


def _splits(facts: Facts) -> Iterator[Finding]:
    if facts.get("train") and not facts.get("val"):
        fix = "list some images as val: without them nothing measures the training"
        yield Finding("there is nothing to validate with", (f"{len(facts['train'])} pairs in train, none in val",), fix)
    if any(facts.values()) and "train" not in facts:
        yield Finding("there is no split train", tuple(f"split {s}" for s in facts), "name the split to train on train")
