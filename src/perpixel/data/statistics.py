"""What training must know of its data before the first step: classes, pixels of each, brightness of each channel.

All of it comes from one survey: every mask is decoded once, and so are the images that are measured.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter
from perpixel.data.bands import Bands
from perpixel.data.facts import PairFacts, label_counts, usual_channels
from perpixel.data.notes import group_notes, image_notes, mask_notes, overlap_notes
from perpixel.data.pairs import read_labels, size_mismatch
from perpixel.data.palettes import palette_conflict
from perpixel.data.samples import Dataset, Sample
from perpixel.data.speaking import taxonomy_of
from perpixel.data.survey import survey
from perpixel.labels import Taxonomy

IMAGES_MEASURED = 64
"""So many images, evenly spread over the split, give the channels' mean and standard deviation."""


@dataclass(frozen=True)
class ClassCounts:
    """pixels (K,), the pixels of each class; image_pixels (K,), all labelled pixels of the images that hold it;
    images (K,), how many images hold it; labelled and total, pixels over the split."""

    pixels: Array
    image_pixels: Array
    images: Array
    labelled: int
    total: int


@dataclass(frozen=True)
class ImageStatistics:
    """Channels and their mean and standard deviation (in [0, 1] for 8- and 16-bit images, as stored for floats),
    the median (H, W) of those measured, the number type that most of them have and the least and greatest value as stored in
    these. Only images of that type count for mean and deviation."""

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    median_size: Size
    dtype: str = ""
    value_range: tuple[float, float] = (0.0, 0.0)

    def only(self, bands: Bands | None) -> "ImageStatistics":
        """Those of the bands that are taken, in their order; the range stays that of all."""
        if bands is None:
            return self
        mean, std = (tuple(values[n - 1] for n in bands.taken) for values in (self.mean, self.std))
        return replace(self, channels=len(bands.taken), mean=mean, std=std)


@dataclass(frozen=True)
class SurveyFacts:
    """What a survey of the training data found, in a form that a run can keep; `notes` are for the user, a line each."""

    taxonomy: Taxonomy
    counts: ClassCounts
    images: ImageStatistics
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for JSON; `from_dict` takes it back."""
        counts = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(self.counts).items()}
        return {
            "taxonomy": self.taxonomy.to_dict(),
            "counts": counts,
            "images": asdict(self.images),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SurveyFacts":
        """The inverse of `to_dict`, also after a way through JSON.

        Raises:
            UserError: it is not what `to_dict` gives.
        """
        try:
            found: dict[str, Any] = {k: _array_or_int(v) for k, v in data["counts"].items()}
            seen: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list | tuple) else v for k, v in data["images"].items()
            }
            taxonomy = Taxonomy.from_dict(data["taxonomy"])
            return cls(taxonomy, ClassCounts(**found), ImageStatistics(**seen), tuple(data["notes"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"these are not the facts of a survey ({error})") from error


def survey_training(dataset: Dataset, train: str, val: str, report: Reporter | None = None) -> SurveyFacts:
    """Looks at what is trained on, every file once; also at the masks of `val` where nothing but the masks tells the classes.

    Args:
        dataset: with a split `train`; `val` may be missing.
        train: the split to learn from.
        val: the split to validate on.
        report: told how many samples of how many are done; it may raise to stop.

    Raises:
        UserError: there is no such split, a file cannot be read, masks and classes do not fit, or there is nothing to learn.
    """
    samples = dataset.split(train)
    splits = {train: samples}
    if dataset.classes is None and val != train:
        splits[val] = dataset.samples(val)
    measured = set(np.unique(np.linspace(0, len(samples) - 1, IMAGES_MEASURED).astype(int)).tolist())
    facts = survey(splits, report, lambda split, place: split == train and place in measured)
    _refuse_errors([pair for pairs in facts.values() for pair in pairs])
    taxonomy = dataset.classes or taxonomy_of(facts)
    conflict = palette_conflict(facts)
    counts = count_classes(facts[train], taxonomy)
    _refuse_nothing_to_learn(counts, taxonomy, dataset)
    notes = [] if conflict is None or taxonomy.uses_colours else [f"{conflict}; the values count, not the colours"]
    notes += image_notes(facts[train])
    notes += overlap_notes(samples, dataset.samples(val)) if val != train else []
    notes += group_notes(samples, dataset.samples(val)) if val != train else []
    notes += mask_notes([p for pairs in facts.values() for p in pairs]) if taxonomy.values == ((0,), (1,)) else []
    if counts.labelled < counts.total:
        notes.append(f"{1 - counts.labelled / counts.total:.2%} of the training masks' pixels are ignored")
    return SurveyFacts(taxonomy, counts, measure_images(facts[train]), tuple(notes))


def infer_taxonomy(samples: Sequence[Sample]) -> Taxonomy:
    """The taxonomy that masks speak for themselves, each read once; see `taxonomy_of`.

    Raises:
        UserError: a mask cannot be read, or the values have no one meaning; the message says how to name them.
    """
    facts = survey({"": samples}, images=lambda split, place: False)
    _refuse_errors(facts[""])
    return taxonomy_of(facts)


def count_classes(pairs: Sequence[PairFacts], taxonomy: Taxonomy) -> ClassCounts:
    """The counts over the masks of a split; raises UserError for a value of no class."""
    k = taxonomy.num_classes
    table = np.zeros((len(pairs), 256), np.int64)
    for row, pair in zip(table, pairs, strict=True):
        for label, n in _labels(pair, taxonomy).items():
            row[label] = n
    classes = table[:, :k]
    labelled = classes.sum(1)
    return ClassCounts(
        pixels=classes.sum(0),
        image_pixels=((classes > 0) * labelled[:, None]).sum(0),
        images=(classes > 0).sum(0),
        labelled=int(labelled.sum()),
        total=int(table.sum()),
    )


def measure_images(pairs: Sequence[PairFacts]) -> ImageStatistics:
    """Channels, mean, standard deviation and median size of those images that were looked at."""
    images = [p.image for p in pairs if p.image is not None]
    channels = usual_channels(images)
    dtype = Counter(i.dtype for i in images if i.channels == channels).most_common(1)[0][0]
    found = [i.moments for i in images if i.channels == channels and i.dtype == dtype]
    share = np.array([m.share for m in found])
    weights = share / np.maximum(share.sum(0), 1e-12)
    mean = (weights * [m.mean for m in found]).sum(0)
    std = np.sqrt(np.maximum((weights * [m.square for m in found]).sum(0) - mean**2, 0))
    std = np.where(std > 1e-6, std, 1.0)  # a constant channel stays as it is instead of being divided by nothing
    height, width = np.median([i.moments.size for i in images], axis=0)
    bounds = [m.bounds for m in found if m.size != (0, 0)] or [(0.0, 0.0)]
    extent = (min(low for low, _ in bounds), max(high for _, high in bounds))
    return ImageStatistics(channels, _rounded(mean), _rounded(std), (int(height), int(width)), dtype, extent)


def _labels(pair: PairFacts, taxonomy: Taxonomy) -> Counter[int]:
    """The pixels of each label in a mask."""
    if pair.mask is None:
        raise UserError(f"{pair.sample.image}: there is no mask for this image")
    known, strange = label_counts(pair.mask, taxonomy)
    if strange or not known or pair.mask.tally.distinct > len(pair.mask.tally.pixels):
        known = Counter(read_labels(pair.sample, taxonomy).ravel().tolist())  # this says which value, and what to do
    return known


def _refuse_errors(pairs: Sequence[PairFacts]) -> None:
    for pair in pairs:
        for path, why in pair.errors:
            raise UserError(f"{path}: {why}")
        if pair.image and pair.mask and pair.image.size != pair.mask.size:
            raise UserError(size_mismatch(pair.sample, pair.image.size, pair.mask.size))


def _refuse_nothing_to_learn(counts: ClassCounts, taxonomy: Taxonomy, dataset: Dataset) -> None:
    if not counts.labelled:
        raise UserError(f"{dataset.root}: every pixel of the training masks is ignored; there is nothing to learn from")
    held = np.flatnonzero(counts.pixels)
    if len(held) == 1:
        ignored = "all others are ignored" if counts.total > counts.labelled else "there are no others"
        raise UserError(
            f'{dataset.root}: every labelled pixel of the training masks is "{taxonomy.names[held[0]]}", {ignored}: there is '
            "nothing to tell it apart from; make what surrounds it a class of its own, such as {name: background, values: 0}"
        )


def _array_or_int(value: Any) -> Array | int:
    return np.array(value, np.int64) if isinstance(value, list) else int(value)


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in values)
