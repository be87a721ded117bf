"""The effective receptive field: how much of its theoretical field a unit really uses, by the energy of gradients.

Luo, Li, Urtasun, Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NIPS 2016,
arXiv:1701.04128.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import curve_fit
from torch import Tensor, nn

from perpixel.analyze.centred import CentredMean
from perpixel.analyze.fields import Field
from perpixel.analyze.maps import LOGITS, Maps
from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import Array

SHARE = 0.9


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian fitted to the energy along rows and along columns.

    sigma: (rows, columns), standard deviations in pixels; NaN where nothing could be fitted.
    fits: in (-inf, 1], the share of the profiles' variance that it explains (R squared), the worse of the two.
    """

    sigma: tuple[float, float]
    fits: float


@dataclass(frozen=True)
class EffectiveField:
    """energy: (2 a + 1, 2 b + 1) gradient energy, summing to 1, the unit in the middle; images: over how many."""

    energy: Array
    images: int

    def side(self, share: float = SHARE) -> float:
        """The side, in pixels, of the smallest square about the unit that holds this share of the energy.

        NaN for a unit on which no pixel has any influence.
        """
        if not self.energy.any():
            return math.nan
        rows, columns = np.indices(self.energy.shape)
        distance = np.maximum(abs(rows - self.energy.shape[0] // 2), abs(columns - self.energy.shape[1] // 2))
        within = np.bincount(distance.ravel(), self.energy.ravel()).cumsum()
        return 2.0 * int(np.searchsorted(within, share * within[-1] * (1 - 1e-9))) + 1

    def gaussian(self) -> Gaussian:
        """The Gaussian whose profiles lie closest to those of the energy, by least squares."""
        fits = [fit_gaussian(self.energy.sum(axis=1 - axis)) for axis in (0, 1)]
        return Gaussian((fits[0][0], fits[1][0]), min(fits[0][1], fits[1][1]))


def effective_field(
    model: nn.Module,
    images: Iterable[Tensor],
    layer: str = LOGITS,
    channel: int | None = None,
    place: tuple[int, int] | None = None,
    field: Field | None = None,
    seed: int = 0,
) -> EffectiveField:
    """The mean gradient energy of a layer's unit with respect to the image's pixels.

    The energy at a pixel is the squared gradient of the unit's value, summed over the image's channels. Of all channels of
    the layer together (`channel=None`) it is their sum, estimated without bias by a gradient of their values with random
    signs, new for each image.

    Args:
        model: any network; it is left in eval mode as it is, no parameter's gradient is touched.
        images: `(1, C, H, W)` each, normalised, of any sizes.
        layer: a name of `model.named_modules()`, or "logits".
        channel: of the layer's map; None for all.
        place: (row, column) on the layer's map, in every image; None for the middle one.
        field: the layer's theoretical field, which says over which pixel a unit lies; None: where map and image are laid
            over each other.
        seed: of the random signs.

    Raises:
        UserError: no such layer or unit, or no image.
    """
    total = CentredMean()
    generator = torch.Generator().manual_seed(seed)
    for image in images:
        energy, centre = gradient_energy(model, image, layer, channel, place, field, generator)
        total.add(energy, centre)
    if not total.count:
        raise UserError("an effective field needs one image or more")
    values = total.values
    return EffectiveField(values / (values.sum() or 1.0), total.count)


def gradient_energy(
    model: nn.Module,
    image: Tensor,
    layer: str = LOGITS,
    channel: int | None = None,
    place: tuple[int, int] | None = None,
    field: Field | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Array, tuple[int, int]]:
    """(H, W) squared gradient of a unit, and the pixel (row, column) at which the unit lies: `effective_field` of one image."""
    centre = (0, 0)

    def unit(_: str, values: Tensor) -> Tensor:
        nonlocal centre
        size: Size = (values.shape[2], values.shape[3])
        at = (size[0] // 2, size[1] // 2) if place is None else place
        if not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
            raise UserError(f"{layer} has a map of {size[0]} x {size[1]}; there is no unit ({at[0]}, {at[1]})")
        if channel is not None and not 0 <= channel < values.shape[1]:
            raise UserError(f"{layer} has {values.shape[1]} channels, counted from 0; there is no channel {channel}")
        centre = pixel_of(at, size, (image.shape[-2], image.shape[-1]), field)
        column = values[0, :, at[0], at[1]]
        if channel is not None:
            return column[channel]
        signs = torch.randint(0, 2, column.shape, generator=generator) * 2.0 - 1
        return (column * signs.to(column.device)).sum()

    pixels = image.detach().clone().requires_grad_()
    with fixed(model), torch.enable_grad():
        value = Maps(model, [layer], unit)(pixels)[layer]
        gradient = torch.autograd.grad(value, pixels, allow_unused=True)[0] if value.requires_grad else None
    gradient = torch.zeros_like(pixels) if gradient is None else gradient
    return gradient[0].double().square().sum(dim=0).cpu().numpy(), centre


def pixel_of(place: tuple[int, int], places: Size, pixels: Size, field: Field | None = None) -> tuple[int, int]:
    """The pixel over which a unit of a map lies: by its theoretical field, else where map and image cover the same ground.

    >>> pixel_of((2, 0), (4, 8), (32, 64))  # units of 8 pixels; the third is over pixels 16 to 23
    (20, 4)
    """
    if field is not None and all(map(math.isfinite, (*field.offset, *field.stride))):
        row, column = (o + s * p for o, s, p in zip(field.offset, field.stride, place, strict=True))
    else:
        row, column = ((p + 0.5) * n / m - 0.5 for p, n, m in zip(place, pixels, places, strict=True))
    return math.floor(row + 0.5), math.floor(column + 0.5)


@contextmanager
def fixed(model: nn.Module) -> Iterator[None]:
    """Within: eval mode, and weights that take no gradient."""
    modes = {part: part.training for part in model.modules()}
    trained = [p for p in model.parameters() if p.requires_grad]
    try:
        model.eval().requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        for part, training in modes.items():
            part.training = training


def fit_gaussian(profile: Array) -> tuple[float, float]:
    """(standard deviation, share of the variance explained) of the Gaussian that lies closest to a profile."""
    x = np.arange(len(profile)) - len(profile) // 2
    if np.count_nonzero(profile) < 3:
        return math.nan, math.nan
    mean = float((x * profile).sum() / profile.sum())
    spread = math.sqrt(float(((x - mean) ** 2 * profile).sum() / profile.sum()))

    def bell(x: Array, height: float, centre: float, sigma: float) -> Array:
        return height * np.exp(-((x - centre) ** 2) / (2 * sigma**2))

    try:
        found, _ = curve_fit(bell, x, profile, p0=(float(profile.max()), mean, spread))
    except RuntimeError:  # it did not settle
        return math.nan, math.nan
    left = float(((profile - bell(x, *found)) ** 2).sum())
    return abs(float(found[2])), 1 - left / float(((profile - profile.mean()) ** 2).sum())
