"""From an image array to what a network takes, the same in training, evaluation and prediction."""

from dataclasses import dataclass

import torch
from pydantic import FiniteFloat, PositiveFloat, PositiveInt
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.core.image import Array, match_channels
from perpixel.data.transforms import resize_short_side, to_tensor


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
    """

    channels: PositiveInt
    mean: tuple[FiniteFloat, ...]
    std: tuple[PositiveFloat, ...]
    short_side: PositiveInt | None = None
    scale: PositiveFloat = 1.0
    bgr: bool = False

    def __post_init__(self) -> None:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise UserError(
                f"{self.channels} channels need as many means and stds, got {len(self.mean)} and {len(self.std)}"
            )
        if self.bgr and self.channels != 3:
            raise UserError(f"only images of 3 channels can be taken as BGR, got {self.channels} channels")

    def __call__(self, image: Array, where: str = "image") -> Tensor:
        """(H, W, C) uint8, uint16 or float32 to (1, channels, h, w) float32, normalised, at the working size.

        Raises:
            UserError: the channels cannot be made to fit.
        """
        tensor = to_tensor(match_channels(image, self.channels, where))
        short_side = max(1, round((self.short_side or min(tensor.shape[-2:])) * self.scale))
        tensor, _ = resize_short_side(tensor, None, short_side)
        return self.normalise(tensor[None])

    def normalise(self, batch: Tensor) -> Tensor:
        """(B, C, H, W) uint8 or float32 to new float32 with zero mean and unit deviation a channel, BGR if so told."""
        scale = 255.0 if batch.dtype == torch.uint8 else 1.0
        batch = batch.flip(1) if self.bgr else batch
        mean = torch.tensor(self.mean, device=batch.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=batch.device).view(-1, 1, 1)
        return torch.mul(batch, 1.0 / (scale * std)).sub_(mean / std)
