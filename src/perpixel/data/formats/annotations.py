"""What every annotation file comes down to, and how a data set is made of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perpixel.core import IGNORE, Size
from perpixel.core.errors import UserError, nearest
from perpixel.data.formats.drawn import DrawnMask
from perpixel.data.formats.pictures import Pictures
from perpixel.data.formats.shapes import Shape
from perpixel.data.layouts import listed, with_val
from perpixel.data.lists import SPLIT_NAMES, by_lists
from perpixel.data.mask_source import MaskSource
from perpixel.data.pairing import stem_below
from perpixel.data.samples import SPLITS, Dataset, Sample, SplitList, some_names
from perpixel.labels import Taxonomy
from perpixel.labels.taxonomy import Colour

BACKGROUND = "background"
NO_CLASS = ("__ignore__", "ignore", "void", "unlabelled", "unlabeled")
"""Names of what is drawn to be ignored; names of a background are stripped of _ (labelme's _background_)."""


@dataclass(frozen=True)
class Drawing:
    """The annotations of one picture.

    Args:
        image: its name, as the file writes it.
        file: the annotation file.
        size: (H, W) that the file says.
        shapes: (class name, shape), in the file's order.
        split: the file says that the picture belongs to it.
        mask: instead of shapes, where a mask is a file of its own.
    """

    image: str
    file: Path
    size: Size = (0, 0)
    shapes: tuple[tuple[str, Shape], ...] = ()
    split: str = ""
    mask: MaskSource | None = None


@dataclass(frozen=True)
class Annotations:
    """What the annotation files of a folder say.

    Args:
        drawings: one a picture.
        names: the classes in order, where the files say it; else they are those that are drawn, by name.
        rest: the class of what nothing covers; None means that it is ignored.
        overlap: who wins where shapes overlap, by the format's own rule; see `perpixel.data.formats.drawn`.
        colours: of the names, where the files say it.
        notes: what of the files was not used, a line each.
    """

    drawings: Sequence[Drawing]
    names: tuple[str, ...] = ()
    rest: str | None = BACKGROUND
    overlap: str = "last"
    colours: Mapping[str, Colour] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def dataset_of(root: Path, kind: str, found: Annotations, overlap: str = "") -> Dataset:
    """The data set in a folder with annotation files.

    Args:
        root: pictures are looked for below it.
        kind: the name of the format.
        found: what its files say.
        overlap: who wins where shapes overlap; the format's rule unless given.

    Raises:
        UserError: a shape of no class, or several pictures of one name.
    """
    taxonomy = taxonomy_of_names(found)
    labels = {name: i for i, name in enumerate(taxonomy.names)} | dict.fromkeys(NO_CLASS, IGNORE)
    labels |= {n: labels[plain(n)] for n in found.names if n not in labels and plain(n) in labels}
    rest = IGNORE if found.rest is None else labels[found.rest]
    pictures, samples, lost = Pictures.below(root), dict[Path, Sample](), list[Drawing]()
    where: dict[Path, str] = {}
    for drawing in found.drawings:
        image = pictures.find(drawing.image, drawing.file)
        if image is None:
            lost.append(drawing)
        elif image in samples:
            raise UserError(f'{drawing.file}: "{drawing.image}" is annotated twice; keep one of the two')
        else:
            mask = drawing.mask or _drawn(drawing, labels, rest, overlap or found.overlap)
            samples[image] = Sample(stem_below(root, image), image, mask)
            where[image] = drawing.split or _split(drawing.file, image, root)
    dataset = Dataset(
        root, kind, {}, taxonomy, root.resolve().name, notes=(*found.notes, *_said(samples, found, overlap))
    )
    return _divided(dataset, samples, where, _lists(found.drawings, lost))


def taxonomy_of_names(found: Annotations) -> Taxonomy:
    """The classes in their order; without one they are those that are drawn, by name, after the background."""
    drawn = {plain(n) for d in found.drawings for n, _ in d.shapes} - set(NO_CLASS)
    names = [plain(n) for n in found.names] or sorted(drawn)
    names = [n for n in dict.fromkeys(names) if n not in NO_CLASS]
    if found.rest is not None and found.rest not in names:
        names = [found.rest, *names]
    for name in sorted(drawn - set(names)):
        file = next(d.file for d in found.drawings for n, _ in d.shapes if plain(n) == name)
        raise UserError(f'{file}: "{name}" is none of the classes {some_names(names, 8)}.{nearest(name, names)}')
    if len(names) > IGNORE - 1:
        raise UserError(f"{found.drawings[0].file}: {len(names)} classes, where a mask has room for {IGNORE - 1}")
    colours = [found.colours.get(n) for n in names]
    known = [c for c in colours if c is not None]
    return Taxonomy.of(names, known if len(known) == len(names) and len(set(known)) == len(known) else None)


def plain(name: str) -> str:
    """A class name without the underscores around it that labelme writes for its own two."""
    return name if name in NO_CLASS else name.strip("_") or name


def split_of_words(text: str) -> str:
    """The split that a name says, such as val of instances_val2017; nothing where it says none, or several."""
    words = "".join(c.lower() if c.isalpha() else " " for c in text).split()
    found = {SPLIT_NAMES[w] for w in words if w in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else ""


def _drawn(drawing: Drawing, labels: Mapping[str, int], rest: int, overlap: str) -> DrawnMask:
    layers = tuple((labels[n] if n in labels else labels[plain(n)], shape) for n, shape in drawing.shapes)
    return DrawnMask(drawing.file, drawing.size, layers, rest, overlap)


def _split(file: Path, image: Path, root: Path) -> str:
    folders = [split_of_words(p) for p in image.relative_to(root).parts[:-1]]
    own = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    inside = [split_of_words(p) for p in own]
    return split_of_words(file.stem) or next((s for s in (*folders, *inside) if s), "")


def _divided(
    dataset: Dataset, samples: Mapping[Path, Sample], where: Mapping[Path, str], lists: tuple[SplitList, ...]
) -> Dataset:
    if not any(where.values()):
        by_name = by_lists(tuple(samples.values()), (), dataset.root)
        done = listed(dataset, by_name)
        return Dataset(**{**vars(done), "lists": (*done.lists, *lists)}) if lists else done
    order = [*SPLITS, *sorted({s for s in where.values() if s not in SPLITS})]
    splits = {s: tuple(x for p, x in samples.items() if (where[p] or "train") == s) for s in order}
    done = with_val(Dataset(**{**vars(dataset), "splits": {s: found for s, found in splits.items() if found}}))
    return Dataset(**{**vars(done), "lists": lists})


def _lists(drawings: Iterable[Drawing], lost: Sequence[Drawing]) -> tuple[SplitList, ...]:
    """The annotation files as lists of names: those of several pictures, and those whose picture is not there."""
    named: dict[Path, list[str]] = {}
    missing: dict[Path, list[str]] = {}
    for d in drawings:
        named.setdefault(d.file, []).append(d.image)
    for d in lost:
        missing.setdefault(d.file, []).append(d.image)
    kept = {f: names for f, names in named.items() if len(names) > 1 or f in missing}
    return tuple(
        SplitList(split_of_words(f.stem) or "train", f, tuple(names), tuple(missing.get(f, ())))
        for f, names in kept.items()
    )


_WINS = {
    "last": "the later one counts",
    "first": "the earlier one counts",
    "small": "the one of fewer pixels counts",
    "large": "the one of more pixels counts",
    "ignore": "the pixel is ignored",
}


def _said(samples: Mapping[Path, Sample], found: Annotations, overlap: str) -> list[str]:
    shapes = Counter(n for d in found.drawings for n, _ in d.shapes)
    if not sum(shapes.values()):
        return []
    rest = "is ignored" if found.rest is None else f'is "{found.rest}"'
    wins = _WINS[overlap or found.overlap]
    return [
        f"{sum(shapes.values())} shapes of {len(samples)} pictures; where two overlap {wins}; what none covers {rest}"
    ]
