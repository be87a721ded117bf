"""Everything that can be wrong with a data set, one function a fault: the defects of `perpixel check`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perpixel.core import IGNORE
from perpixel.core.text import read_lines, with_slashes
from perpixel.data.facts import Facts, PairFacts, in_terms, label_counts, split_pairs, usual_channels
from perpixel.data.left_out import unused_lists
from perpixel.data.meaning import Meaning, is_jpeg_mask, looks_smoothed, show
from perpixel.data.naming import without_suffix
from perpixel.data.palettes import palette_conflict
from perpixel.data.patterns import proposal
from perpixel.data.samples import Dataset
from perpixel.data.window import Window, hw, overlap

Named = Callable[[Path | None], str]


@dataclass(frozen=True)
class Finding:
    """One kind of fault: what it is, the files that have it (each with its detail), and what to do about it."""

    text: str
    files: tuple[str, ...]
    fix: str


def defects_of(dataset: Dataset, facts: Facts, meaning: Meaning) -> list[Finding]:
    """What must be repaired before training, in the order in which to repair it."""
    rel = partial(relative, dataset.root)
    found = [
        *_unreadable(facts, rel),
        *_unpaired(dataset, rel),
        *_sizes(facts, rel),
        *_channels(facts, rel),
        *_palettes(dataset, facts),
        *_values(facts, meaning, rel),
        *_too_many_values(facts, meaning, rel),
        *_in_two_splits(facts, rel),
        *_lists(dataset),
        *_empty_splits(dataset, facts),
        *_all_ignored(facts, meaning),
        *_one_class(facts, meaning),
    ]
    return found


def same_image(facts: Facts) -> Iterator[list[tuple[str, PairFacts]]]:
    """Groups of pairs from different files whose images have the same pixels; constant images are passed over."""
    groups: dict[str, list[tuple[str, PairFacts]]] = defaultdict(list)
    for split, pair in split_pairs(facts):
        if pair.image and not pair.image.constant:
            groups[pair.image.digest].append((split, pair))
    return (g for g in groups.values() if len({p.sample.image for _, p in g}) > 1)


def relative(root: Path, path: Path | None) -> str:
    """A path as seen from the data folder."""
    return str(path.relative_to(root)) if path is not None and path.is_relative_to(root) else str(path)


def if_any(text: str, files: Iterable[str], fix: str) -> Iterator[Finding]:
    """A finding, if there is any file that has it."""
    unique = tuple(dict.fromkeys(files))
    if unique:
        yield Finding(text, unique, fix)


def _unreadable(facts: Facts, rel: Named) -> Iterator[Finding]:
    files = (f"{rel(path)}: {why}" for _, pair in split_pairs(facts) for path, why in pair.errors)
    yield from if_any("files that cannot be read", files, "get these files again, or remove image and mask")


def _unpaired(dataset: Dataset, rel: Named) -> Iterator[Finding]:
    tested = (entry for found in dataset.lists if found.split == "test" for entry in found.entries)
    listed = {without_suffix(entry).rsplit("/", 1)[-1] for entry in tested}
    alone = [p for p in dataset.unpaired if p.stem not in listed]  # the images of a test list may lack masks on purpose
    yield from if_any(
        "images without a mask, or masks without an image",
        map(rel, alone),
        "give each the partner of the same stem, or remove it" + _pattern(dataset),
    )


def _pattern(dataset: Dataset) -> str:
    seen = proposal(dataset.root, dataset.unpaired)
    return f"; or, if so they belong together, in dataset.yaml: images: {seen[0]} and masks: {seen[1]}" if seen else ""


def _sizes(facts: Facts, rel: Named) -> Iterator[Finding]:
    turned, other = [], []
    for _, pair in split_pairs(facts):
        image, mask = pair.image, pair.mask
        if image is None or mask is None or image.size == mask.size:
            continue
        line = f"{rel(pair.sample.mask_path)}: {hw(mask.size)}, its image {rel(pair.sample.image)}: {hw(image.size)}"
        if image.size == mask.size[::-1] and (image.orientation in range(5, 9)) != (mask.orientation in range(5, 9)):
            turned.append(f"{line} after its EXIF orientation ({image.orientation}; mask {mask.orientation})")
        else:
            other.append(line)
    yield from if_any(
        "image and mask are turned against each other by EXIF orientation",
        turned,
        "turn the mask as the image is shown, or save the image as it is stored, without the EXIF orientation",
    )
    yield from if_any(
        "masks of another size than their image (height x width)",
        other,
        "check that they belong together; then resize the mask by nearest neighbour only",
    )


def _channels(facts: Facts, rel: Named) -> Iterator[Finding]:
    images = [(rel(pair.sample.image), pair.image) for _, pair in split_pairs(facts) if pair.image]
    usual = usual_channels(image for _, image in images)
    odd = [(file, i.channels) for file, i in images if usual not in i.choices and {i.channels, usual} != {1, 3}]
    files = (f"{file}: {c} channels" for file, c in odd)
    yield from if_any(
        f"images of other channels than the usual {usual} (only 1 and 3 can stand in for each other)",
        files,
        f"save them with {usual} channels, or make a data set of their own",
    )


def _palettes(dataset: Dataset, facts: Facts) -> Iterator[Finding]:
    """Palettes that differ where nobody named the classes: neither the values nor the colours can be trusted unasked."""
    conflict = palette_conflict(facts) if dataset.classes is None else None
    yield from if_any(
        "the palettes of the masks differ: a value has another colour from file to file",
        [conflict] if conflict else [],
        "name the classes by their colours in a dataset.yaml (perpixel check DATA --write makes a starter), or by their values "
        "where the colours mean nothing",
    )


def _values(facts: Facts, meaning: Meaning, rel: Named) -> Iterator[Finding]:
    if meaning.taxonomy is None:
        return
    smooth, unnamed, wrong_kind, smooth_pixels = [], [], [], 0
    for _, pair in split_pairs(facts):
        if pair.mask is None:
            continue
        name, seen = rel(pair.sample.mask_path), in_terms(pair.mask, meaning.taxonomy.uses_colours)
        _, strange = label_counts(pair.mask, meaning.taxonomy)
        if seen is None:
            wrong_kind.append(f"{name}: holds {'colours' if pair.mask.colours else 'numbers'}")
        elif strange and (is_jpeg_mask(pair) or looks_smoothed(seen, strange)):
            smooth_pixels += sum(strange.values())
            smooth.append(f"{name}: {sum(strange.values())} pixels of {len(strange)} values")
        elif strange:
            shown = ", ".join(f"value {show(v)} on {n} pixel{'s' * (n > 1)}" for v, n in strange.most_common(4))
            unnamed.append(f"{name}: {shown}" + (f" and {len(strange) - 4} more values" if len(strange) > 4 else ""))
    is_binary = meaning.taxonomy.values == ((0,), (255,))
    threshold = " (or set values below 128 to 0, the others to 255)" if is_binary else ""
    yield from if_any(
        f"{smooth_pixels} pixels lie between the class values: masks were resized or saved with smoothing or as JPEG",
        smooth,
        f"make these masks again from their source, resize by nearest neighbour, save as PNG{threshold}",
    )
    yield from if_any(
        "mask values that no class names",
        unnamed,
        'repair the masks; or, if they are meant, add the values to a class or to "ignore" in dataset.yaml',
    )
    kind = "colours" if meaning.taxonomy.uses_colours else "numbers"
    yield from if_any(
        f"masks of another kind than the classes, which are given by {kind}",
        wrong_kind,
        f"save these masks with the classes' {kind}, or write a dataset.yaml that gives the classes as the masks do",
    )


def _too_many_values(facts: Facts, meaning: Meaning, rel: Named) -> Iterator[Finding]:
    if meaning.taxonomy is not None or meaning.needs_names or not meaning.values.pixels:
        return
    masks = sorted(
        ((p.mask.tally.distinct, rel(p.sample.mask_path)) for _, p in split_pairs(facts) if p.mask is not None),
        reverse=True,
    )
    thin = looks_smoothed(meaning.values, meaning.values.pixels) and meaning.smeared
    text = f"the masks hold {meaning.values.distinct} different values, too many to be classes"
    why = (
        "they were resized or saved with smoothing or as JPEG, or are no masks at all"
        if thin
        else ("they may number single objects (instances), or hold probabilities")
    )
    yield from if_any(
        f"{text}: {why}",
        (f"{name}: {n} values" for n, name in masks if n == masks[0][0] or n > 2),
        "make masks with one exact value a class, resized by nearest neighbour, saved as PNG",
    )


def _in_two_splits(facts: Facts, rel: Named) -> Iterator[Finding]:
    copies = (
        " = ".join(f"{rel(p.sample.image)} ({split})" for split, p in group)
        for group in same_image(facts)
        if len({split for split, _ in group}) > 1
    )
    fix = "remove it from one of them: what was trained on cannot measure"
    yield from if_any("the same image, pixel by pixel, in two splits", copies, fix)
    places: dict[Path, list[tuple[str, Window | None]]] = defaultdict(list)
    for split, pair in split_pairs(facts):
        places[pair.sample.image].append((split, pair.sample.window))
    shared = (
        f"{rel(image)}: {a} and {b}"
        for image, uses in places.items()
        for a, b in sorted({(t, s) for i, (s, v) in enumerate(uses) for t, w in uses[:i] if s != t and overlap(v, w)})
    )
    yield from if_any("the same entry in two splits", shared, fix)


def _lists(dataset: Dataset) -> Iterator[Finding]:
    entries = {file.name: _first_words(file) for file in unused_lists(dataset)}
    both = (
        f"{b} and {a}: {e}"
        for i, a in enumerate(entries)
        for b in list(entries)[:i]
        for e in entries[a]
        if e in entries[b]
    )
    yield from if_any("the same entry in two lists", both, "remove it from one of the lists")
    lost = (f"{found.file.name}: {e}" for found in dataset.lists for e in found.lost)
    yield from if_any("list entries without image and mask", lost, "correct the list, or add the missing files")


def _first_words(file: Path) -> list[str]:
    return [without_suffix(with_slashes(line.split()[0])) for line in read_lines(file)]


def _empty_splits(dataset: Dataset, facts: Facts) -> Iterator[Finding]:
    empty = [s for s, pairs in facts.items() if not pairs and not (s == "val" and len(facts.get("train", [])) == 1)]
    if not any(facts.values()):
        empty = sorted(facts) or ["train"]
    yield from if_any(
        "splits without a single pair of image and mask",
        (f"split {s}" for s in empty),
        "put image and mask of the same stem into it, or remove the split",
    )


def _all_ignored(facts: Facts, meaning: Meaning) -> Iterator[Finding]:
    if meaning.taxonomy is None:
        return
    for split, pairs in facts.items():
        counts = [label_counts(p.mask, meaning.taxonomy)[0] for p in pairs if p.mask is not None]
        if split != "test" and counts and all(set(c) == {IGNORE} for c in counts):  # public test masks are often blank
            yield Finding(
                f"every pixel of split {split} is ignored",
                (f"{len(counts)} masks",),
                'check "ignore" in dataset.yaml and that these masks are the real ones',
            )


def _one_class(facts: Facts, meaning: Meaning) -> Iterator[Finding]:
    if meaning.taxonomy is None:
        return
    masks = [p.mask for p in facts.get("train", []) if p.mask is not None]
    held = {label for mask in masks for label in label_counts(mask, meaning.taxonomy)[0]} - {IGNORE}
    if len(held) == 1:
        yield Finding(
            "the training masks hold one class alone: there is nothing to tell it apart from",
            (meaning.taxonomy.names[held.pop()],),
            "make what surrounds it a class of its own, such as {name: background, values: 0}",
        )
