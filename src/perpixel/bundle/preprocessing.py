"""From an image array to what a network takes, the same in training, evaluation and prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.core.image import Array, match_channels, read_raster
from perpixel.core.number_types import in_trained_numbers, refuse_far
from perpixel.data.bands import Bands, chosen, scattered
from perpixel.data.pairs import read_pair
from perpixel.data.samples import Sample
from perpixel.data.tensors import resize_short_side, to_tensor
from perpixel.labels import Taxonomy

Channels = Annotated[int, Field(ge=1, le=2**16)]
Mean = Annotated[float, Field(ge=-1e30, le=1e30)]
Std = Annotated[float, Field(ge=1e-30, le=1e30)]
ShortSide = Annotated[int, Field(ge=1, le=2**14)]
PredictScale = Annotated[float, Field(ge=0.05, le=20)]
NumberType = Literal["uint8", "uint16", "float32"]


@dataclass(frozen=True)
class Preprocessing:
    """Channels, normalisation and working size.

    Args:
        channels: what the network takes.
        mean, std: one a channel; in [0, 1] for 8- and 16-bit images, in stored units for floats.
        short_side: images are resized to this shorter side before the network sees them; None keeps their size.
        scale: a further factor on the size, for prediction alone. A network that was trained on random scales around 1 is
            often better on somewhat larger images (Touvron et al., "Fixing the train-test resolution discrepancy", 2019),
            one of a coarse stride the more so.
        bgr: the network takes blue first, as Caffe's do; mean and std are then in that order too. For 3 channels.
        dtype: the number type of the training images, or of most of them; None where it is not known.
        value_range: the least and the greatest number in them, as stored; None where it is not known.
            Images in other numbers are converted or refused by the rules of `perpixel.core.number_types`.
        bands: which of an image's bands the network takes, in its order; None takes all.
    """

    channels: Channels
    mean: tuple[Mean, ...]
    std: tuple[Std, ...]
    short_side: ShortSide | None = None
    scale: PredictScale = 1.0
    bgr: bool = False
    dtype: NumberType | None = None
    value_range: tuple[Mean, Mean] | None = None
    bands: Bands | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise UserError(
                f"{self.channels} channels need as many means and stds, got {len(self.mean)} and {len(self.std)}"
            )
        if self.bands is not None and len(self.bands.taken) != self.channels:
            raise UserError(f"{len(self.bands.taken)} bands are taken, but the network has {self.channels} channels")
        if self.bgr and self.channels != 3:
            raise UserError(f"only images of 3 channels can be taken as BGR, got {self.channels} channels")
        if self.value_range and self.value_range[0] > self.value_range[1]:
            raise UserError(f"value_range must be (least, greatest), got {self.value_range}")

    @property
    def stored(self) -> int:
        """How many bands an image has of which the network takes `channels`."""
        return self.channels if self.bands is None else self.bands.of

    @property
    def words(self) -> str:
        """What it takes of an image, such as 3 channels, or bands 5 (nir), 4 (red) of 7."""
        return f"{self.channels} channels" if self.bands is None else self.bands.words

    @property
    def mean_of_bands(self) -> tuple[float, ...]:
        """The mean of each band as an image stores them: what stands where nothing was measured. 0 for one not taken."""
        return self._in_order(self.mean) if self.bands is None else scattered(self._in_order(self.mean), self.bands)

    def _in_order(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Values of the network's channels, red first."""
        return values[::-1] if self.bgr else values

    def read(self, path: str | Path) -> Array:
        """The image of a file, (H, W, C): all its bands, and what was not measured filled with the mean.

        Raises:
            UserError: it cannot be read.
        """
        return read_raster(path, self.stored).filled(self.mean_of_bands)

    def read_pair(self, sample: Sample, taxonomy: Taxonomy) -> tuple[Array, Array]:
        """The image, as `read` gives it, and the labels of a sample; see `perpixel.data.pairs.read_pair`."""
        return read_pair(sample, taxonomy, self.mean_of_bands, self.stored)

    def training_image(self, path: str | Path) -> Array:
        """The image of a file, (H, W, channels), in the number type of the other training images, not yet normalised.

        Raises:
            UserError: it cannot be read, or its bands or numbers are not those of the others.
        """
        return self._for_training(self.read(path), str(path))

    def training_pair(self, sample: Sample, taxonomy: Taxonomy) -> tuple[Array, Array]:
        """As `read_pair`, with the image as `training_image` gives it."""
        image, labels = self.read_pair(sample, taxonomy)
        return self._for_training(image, str(sample.image)), labels

    def _for_training(self, image: Array, where: str) -> Array:
        return match_channels(self.usual_type(chosen(image, self.bands, where), where), self.channels, where)

    def usual_type(self, image: Array, where: str = "image") -> Array:
        """A training image: of the type that most of them have, as it is; of another one, converted by the rule for prediction.

        Raises:
            UserError: its numbers cannot mean what those of the others mean.
        """
        same = self.dtype is None or image.dtype == self.dtype
        others = "the others of this data set are"
        return image if same else in_trained_numbers(image, self.dtype, self.value_range, where, others)

    def __call__(self, image: Array, where: str = "image") -> Tensor:
        """(H, W, C) uint8, uint16 or float32 to (1, channels, h, w) float32, normalised, at the working size.

        Raises:
            UserError: the channels or the numbers cannot be made to fit.
        """
        return self.normalise(self.resized(image, where))

    def resized(self, image: Array, where: str = "image") -> Tensor:
        """(H, W, C) uint8, uint16 or float32 to (1, channels, h, w) uint8 or float32 at the working size, not yet normalised.

        Raises:
            UserError: as in `__call__`.
        """
        image = chosen(image, self.bands, where)
        image = match_channels(in_trained_numbers(image, self.dtype, self.value_range, where), self.channels, where)
        if self.dtype is None:
            refuse_far(image, self._in_order(self.mean), self._in_order(self.std), where)
        tensor = to_tensor(image)
        short_side = max(1, round((self.short_side or min(tensor.shape[-2:])) * self.scale))
        return resize_short_side(tensor, None, short_side)[0][None]

    def normalise(self, batch: Tensor) -> Tensor:
        """(B, C, H, W) uint8 or float32 to new float32 with zero mean and unit deviation a channel, BGR if so told."""
        scale = 255.0 if batch.dtype == torch.uint8 else 1.0
        batch = batch.flip(1) if self.bgr else batch
        mean = torch.tensor(self.mean, device=batch.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=batch.device).view(-1, 1, 1)
        return torch.mul(batch, 1.0 / (scale * std)).sub_(mean / std)
