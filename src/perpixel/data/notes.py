"""What of images and masks is not taken as it is stored: a line each for `check` and `train`, and for what `predict` is given."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from perpixel.core import IGNORE
from perpixel.core.image import Raster
from perpixel.data.facts import ImageFacts, MaskFacts, PairFacts, usual_channels
from perpixel.data.samples import Sample, some_names
from perpixel.data.window import overlap

ALPHA_DROPPED = "the last band, tagged as alpha, is left out"
ALPHA_KEPT = "the last band, tagged as alpha, is kept, as its values are no transparency"
NOT_MEASURED = "some pixels were not measured (NaN, no-data): what is said of them means nothing"
GREY = "its colours are taken as grey"


def image_notes(pairs: Sequence[PairFacts]) -> list[str]:
    """Lines about the images that were looked at: bands, numbers, pixels that were not measured, pictures that are not read."""
    images = [p.image for p in pairs if p.image is not None]
    usual = usual_channels(images)
    counts = Counter(note for image in images for note in _notes(image, usual))
    types = Counter(i.dtype for i in images)
    notes = [text.format(_many(n, "image")) for text, n in counts.items()]
    for kind, n in types.most_common()[1:]:
        notes.append(f"{n} of {len(images)} images measured are {kind}, the others {types.most_common(1)[0][0]}")
    if len({tuple(i.moments.mean) for i in images}) == 1 and len(images) > 1 and all(i.constant for i in images):
        notes.append(
            f"all {len(images)} images looked at are of one and the same colour: there is nothing to see in them"
        )
    further = [p for p in pairs if (p.image and p.image.more) or (p.mask and p.mask.more)]
    if further:
        names = some_names([p.sample.name for p in further])
        notes.append(
            f"of {_many(len(further), 'file')} with several pictures (frames, pages) the first is read: {names}"
        )
    return notes


def mask_notes(pairs: Sequence[PairFacts]) -> list[str]:
    """A line where 255 is foreground in some masks and is ignored, as it seems: some hold 1 and never 255, others the other way."""
    names = two_codes([(p.sample.name, p.mask) for p in pairs if p.mask is not None])
    if not names:
        return []
    return [
        f"{_many(len(names), 'mask')} hold 255 (ignored) and never 1, others 1 and never 255: {some_names(names)}; "
        "if 255 is foreground there, write 1 instead"
    ]


def two_codes(masks: Iterable[tuple[str, MaskFacts]]) -> list[str]:
    """The names of masks that hold 255 and never 1, beside others that hold 1 and never 255; none where one holds both."""
    held = [(name, set(mask.tally.pixels)) for name, mask in masks]
    if any({1, IGNORE} <= values for _, values in held) or not any(1 in values for _, values in held):
        return []
    return [name for name, values in held if IGNORE in values]


def overlap_notes(train: Iterable[Sample], val: Iterable[Sample]) -> list[str]:
    """A line where what is trained on also measures."""
    places: dict[Path, list[Sample]] = {}
    for sample in train:
        places.setdefault(sample.image, []).append(sample)
    both = [s.name for s in val if any(overlap(s.window, t.window) for t in places.get(s.image, ()))]
    if not both:
        return []
    return [
        f"{_many(len(both), 'sample')} of val are in train too, so that they measure nothing new: {some_names(both)}"
    ]


def raster_notes(raster: Raster, channels: int) -> list[str]:
    """What of an image is not taken as it is stored, by a model that takes so many channels."""
    notes = {"dropped": [ALPHA_DROPPED], "kept": [ALPHA_KEPT]}.get(raster.alpha, [])
    if raster.more:
        notes = [*notes, f"of {raster.more + 1} pictures in it (frames, pages) the first is read"]
    if not raster.measured().all():
        notes = [*notes, NOT_MEASURED]
    if raster.array.shape[2] == 3 and channels == 1:
        notes = [*notes, GREY]
    return notes


def together(notes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A line for each note, with the names of the images that it is about.

    >>> together({"it is grey": ["a", "b"]})
    ('it is grey: a, b',)
    """
    return tuple(f"{note}: {some_names(names)}" for note, names in notes.items())


def _notes(image: ImageFacts, usual: int) -> Iterable[str]:
    channels = usual if usual in image.choices else image.channels
    if image.alpha:
        kept = channels == max(image.choices)
        yield f"the last band of {{}} is tagged as alpha, and {'is kept' if kept else 'is dropped'}" + (
            ", as its values are no transparency" if image.alpha == "kept" else ""
        )
    if image.not_finite:
        yield "{} with pixels that were not measured (NaN, infinite, no-data): the mean stands there, their label is ignored"
    if (channels, usual) == (3, 1):
        yield "the colours of {} are taken as grey, as most are"
    if (channels, usual) == (1, 3):
        yield "the grey of {} is taken as three equal channels, as most have colours"


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
