"""Which mask belongs to which image: by the same stem, or by a stem that only says "image" or "mask" besides."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.data.listing import list_images
from perpixel.data.mask_source import MaskFile
from perpixel.data.naming import composed
from perpixel.data.samples import Sample

_MASK = "masks?|labels?|lab|gts?|ground_?truth|seg|segmentations?|annotations?|anno|annot|targets?"
_IMAGE = "images?|imgs?|sat|rgb|photo|input"
_ONE_LETTER = "l|p|m"  # CamVid's _L, fastai's _P, LandCover's _m
_MASK_ENDING = re.compile(rf"[ _.-]({_MASK}|{_ONE_LETTER})$", re.IGNORECASE)
_IMAGE_ENDING = re.compile(rf"[ _.-]({_IMAGE})$", re.IGNORECASE)
_MASK_START = re.compile(rf"^({_MASK})([ _.-]|(?=\d))", re.IGNORECASE)
_IMAGE_START = re.compile(rf"^({_IMAGE})([ _.-]|(?=\d))", re.IGNORECASE)
_JPEG = (".jpg", ".jpeg")

Pairs = tuple[tuple[Sample, ...], tuple[Path, ...]]
"""Samples, and the files without a partner."""


def pair(images: Path, masks: Path) -> Pairs:
    """Pairs the images below one folder with the masks below another.

    A pair has the same path below its folder without file ending (a/1.jpg, a/1.png). Where no mask has it, one that keeps
    the image's ending (1.jpg.png) or whose name says mask besides is taken (1_mask, 1-gt, mask_1, label1), also for an
    image whose name says image (1_sat, img_1). What is then left may differ in capitals (IMG_1, img_1); and where no file
    at all has a partner, the names alone must agree, whatever folders they lie in. Names are compared in Unicode's NFC.

    Raises:
        UserError: two images (or masks) have the same stem, or two masks could be that of one image.
    """
    if images == masks:
        return pair_beside(list_images(images), images)
    found_images = _by_stem(images, list_images(images), skip=masks)
    found_masks = _by_stem(masks, list_images(masks), skip=images)
    return match(found_images, found_masks)


def match(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Pairs:
    """Pairs images with masks, both by their names without ending; see `pair`."""
    partner = _any_case(images, masks, _partners(images, masks)) or _partners_by_name(images, masks)
    return _result(images, masks, partner)


def pair_beside(files: Iterable[Path], folder: Path) -> Pairs:
    """Pairs files that lie in one folder: 1.jpg with 1.png, else 1.jpg (or 1_sat.jpg) with 1_mask.png.

    Raises:
        UserError: two masks could be that of one image.
    """
    stems: dict[str, list[Path]] = {}
    for p in files:
        stems.setdefault(stem_below(folder, p), []).append(p)
    doubles = {s: sorted(ps, key=_is_no_jpeg) for s, ps in stems.items() if len(ps) == 2}
    doubles = {s: ps for s, ps in doubles.items() if [_is_no_jpeg(p) for p in ps] == [False, True]}
    if doubles:
        samples = tuple(Sample(s, image, MaskFile(mask)) for s, (image, mask) in doubles.items())
        return samples, tuple(p for s, ps in stems.items() if s not in doubles for p in ps)
    single = {s: ps[0] for s, ps in stems.items() if len(ps) == 1}
    masks = {s: p for s, p in single.items() if _core(s, _MASK_ENDING, _MASK_START) != s}
    images = {s: p for s, p in single.items() if s not in masks}
    return _result(images, masks, _any_case(images, masks, _partners(images, masks)))


def stem_below(folder: Path, path: Path) -> str:
    """The name of a sample: the path below a folder without its ending, in Unicode's NFC."""
    return composed(path.relative_to(folder).with_suffix("").as_posix())


def _result(images: Mapping[str, Path], masks: Mapping[str, Path], partner: Mapping[str, Path]) -> Pairs:
    samples = tuple(Sample(s, p, MaskFile(partner[s])) for s, p in images.items() if s in partner)
    used = set(partner.values())
    alone = [p for s, p in images.items() if s not in partner]
    return samples, tuple(alone + [p for p in masks.values() if p not in used])


def _is_no_jpeg(path: Path) -> bool:
    return path.suffix.lower() not in _JPEG


def _by_stem(folder: Path, files: Iterable[Path], skip: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for p in files:
        if skip.is_relative_to(folder) and p.is_relative_to(skip):
            continue  # the masks' folder lies inside the images' folder
        stem = stem_below(folder, p)
        if stem in found:
            raise UserError(f"{p} and {found[stem].name} have the same stem; give each image one file")
        found[stem] = p
    return found


def _partners(images: Mapping[str, Path], masks: Mapping[str, Path]) -> dict[str, Path]:
    """The mask of every image that has one: by the same stem first, then by what is left without "image" and "mask"."""
    partner = {s: masks[s] for s in images if s in masks}
    whole = {s: s + p.suffix for s, p in images.items() if s not in partner}
    partner |= {s: masks[name] for s, name in whole.items() if name in masks}
    taken = set(partner.values())
    cores: dict[str, list[Path]] = {}
    for stem, p in masks.items():
        if p not in taken:
            cores.setdefault(_core(stem, _MASK_ENDING, _MASK_START), []).append(p)
    for stem in images:
        found = cores.get(stem) or cores.get(_core(stem, _IMAGE_ENDING, _IMAGE_START))
        if stem in partner or not found:
            continue
        if len(found) > 1:
            raise UserError(f"{images[stem]}: {found[0].name} and {found[1].name} could both be its mask; keep one")
        partner[stem] = found[0]
    _refuse_shared(images, partner)
    return partner


def _any_case(images: Mapping[str, Path], masks: Mapping[str, Path], partner: Mapping[str, Path]) -> dict[str, Path]:
    """The partners, and for what has none one whose name differs in capitals alone, if it is the only one."""
    taken = set(partner.values())
    left = _by_folded(s for s in images if s not in partner), _by_folded(s for s, p in masks.items() if p not in taken)
    found = _partners({n: images[s] for n, s in left[0].items()}, {n: masks[s] for n, s in left[1].items()})
    return {**partner, **{left[0][n]: mask for n, mask in found.items()}}


def _by_folded(stems: Iterable[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for stem in stems:
        found.setdefault(stem.casefold(), []).append(stem)
    return {folded: same[0] for folded, same in found.items() if len(same) == 1}


def _partners_by_name(images: Mapping[str, Path], masks: Mapping[str, Path]) -> dict[str, Path]:
    """Partners by the last part of the stem alone, if no two images and no two masks share one."""
    short_images, short_masks = ({s.rsplit("/", 1)[-1]: s for s in found} for found in (images, masks))
    if len(short_images) < len(images) or len(short_masks) < len(masks):
        return {}
    partner = _partners({n: images[s] for n, s in short_images.items()}, {n: masks[s] for n, s in short_masks.items()})
    return {short_images[n]: mask for n, mask in partner.items()}


def _refuse_shared(images: Mapping[str, Path], partner: Mapping[str, Path]) -> None:
    owner: dict[Path, str] = {}
    for stem, mask in partner.items():
        if mask in owner:
            raise UserError(
                f"{mask}: could be the mask of {images[owner[mask]].name} and {images[stem].name}; keep one"
            )
        owner[mask] = stem


def _core(stem: str, ending: re.Pattern[str], start: re.Pattern[str]) -> str:
    """A stem without its ending or, if it has none, without its start; its folders stay."""
    folders, slash, name = stem.rpartition("/")
    cut = ending.sub("", name)
    return folders + slash + (cut if cut != name else start.sub("", name))
