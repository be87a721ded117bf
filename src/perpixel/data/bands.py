"""Which bands of an image a network takes: numbered from 1, as GDAL and every map program count them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perpixel.core.errors import UserError, nearest
from perpixel.core.image import Array


@dataclass(frozen=True)
class Bands:
    """taken: the numbers of the bands, from 1, in the order in which the network takes them; of: how many an image has;
    names: those of the bands that are taken, or none.

    >>> Bands((5, 4, 3), of=7, names=("nir", "red", "green")).words
    'bands 5 (nir), 4 (red), 3 (green) of 7'
    """

    taken: tuple[int, ...]
    of: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.taken or len(set(self.taken)) < len(self.taken):
            raise UserError(f"bands must name each band once, got {list(self.taken)}")
        if not all(1 <= band <= self.of for band in self.taken):
            raise UserError(f"bands are numbered from 1 to {self.of} here, got {list(self.taken)}")
        if len(self.names) not in (0, len(self.taken)):
            raise UserError(f"{len(self.taken)} bands need as many names or none, got {len(self.names)}")

    @property
    def words(self) -> str:
        """The bands in words."""
        known = self.names or ("",) * len(self.taken)
        listed = ", ".join(f"{n} ({name})" if name else str(n) for n, name in zip(self.taken, known, strict=True))
        return f"bands {listed} of {self.of}"


def find_bands(wanted: Sequence[int | str] | None, names: Sequence[str], of: int) -> Bands | None:
    """The bands that are wanted by number or by name, of images that have `of`; None where all are.

    Args:
        wanted: numbers from 1, or names; None for all.
        names: what the data set calls its bands; empty where it does not.
        of: how many bands its images have.

    Raises:
        UserError: as many names as bands were not given, or there is no such band, or one is wanted twice.
    """
    if names and len(names) != of:
        raise UserError(f"dataset.yaml names {len(names)} bands ({', '.join(names)}), but the images have {of}")
    if wanted is None:
        return None
    taken = tuple(_number(band, names) for band in wanted)
    return Bands(taken, of, tuple(names[n - 1] for n in taken) if names and all(1 <= n <= of for n in taken) else ())


def chosen(image: Array, bands: Bands | None, where: str) -> Array:
    """The bands of an (H, W, C) image that are taken, in their order.

    Raises:
        UserError: it has not as many bands as the others.
    """
    if bands is None:
        return image
    if image.shape[2] != bands.of:
        raise UserError(f"{where}: the model takes {bands.words}, this image has {image.shape[2]}")
    return np.ascontiguousarray(image[..., [n - 1 for n in bands.taken]])


def scattered(values: Sequence[float], bands: Bands) -> tuple[float, ...]:
    """One value for each band of an image, 0 for one that is not taken."""
    known = dict(zip(bands.taken, values, strict=True))
    return tuple(known.get(n, 0.0) for n in range(1, bands.of + 1))


def _number(band: int | str, names: Sequence[str]) -> int:
    if isinstance(band, int):
        return band
    if band not in names:
        known = f"those of this data set are {', '.join(names)}" if names else "dataset.yaml names none (bands: [...])"
        raise UserError(f'no band "{band}"; {known}.{nearest(band, names)}')
    return list(names).index(band) + 1
