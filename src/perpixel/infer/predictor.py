"""A Predictor answers for one image at a time, at that image's own size."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from perpixel.bundle import BundleInfo, Preprocessing, load_bundle
from perpixel.core.errors import UserError
from perpixel.core.files import atomic_write, write_text
from perpixel.core.image import Array, image_from_pillow, read_image
from perpixel.infer.monte_carlo import sample
from perpixel.infer.tiles import tiled_logits
from perpixel.labels import Taxonomy

ImageLike = str | Path | Image.Image | Array

TILE = 1536
"""Images with more pixels than a tile of this side are computed tile by tile, so that memory stays bounded."""


def load(path_or_name: str | Path, device: str = "auto") -> "Predictor":
    """A predictor from a bundle folder, a run folder, or the name of a bundled model.

    Args:
        path_or_name: such as "runs/mine", "runs/mine/best" or "street".
        device: "cpu", "cuda", "mps", or "auto" for the best that is there.

    Raises:
        UserError: nothing there, or its files are damaged.
    """
    model, info = load_bundle(path_or_name)
    return Predictor(model, info.preprocessing, info.classes, info.logit_bias, device, info)


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image, at the image's own size.

    labels (H, W) uint8 in [0, K); probabilities (K, H, W) float32, summing to 1 over K; image (H, W, 3) uint8 for pictures;
    variance (K, H, W) float32 in [0, 0.25] of the probabilities where they were sampled, else None.
    """

    labels: Array
    probabilities: Array
    taxonomy: Taxonomy
    image: Array
    variance: Array | None = None

    def uncertainty(self) -> Array:
        """(H, W) float32 in [0, 0.25]: the variance of the sampled probabilities, averaged over the classes.

        Raises:
            UserError: the prediction was not sampled.
        """
        if self.variance is None:
            raise UserError("this prediction was not sampled; predict with samples=40 (--samples 40) for uncertainty")
        return self.variance.mean(axis=0)

    def overlay(self, opacity: float = 0.55) -> Image.Image:
        """The image with the classes' colours laid over it; `opacity` from 0 (image) to 1 (colours)."""
        colours = self.taxonomy.colourise(self.labels).astype(np.float32)
        mixed = self.image.astype(np.float32) * (1 - opacity) + colours * opacity
        return Image.fromarray(mixed.astype(np.uint8))

    def summary(self) -> dict[str, Any]:
        """Size, the share of each class that occurs (of all pixels) and the mean probability of the chosen class."""
        counts = np.bincount(self.labels.ravel(), minlength=self.taxonomy.num_classes)
        shares = {n: float(c) / self.labels.size for n, c in zip(self.taxonomy.names, counts, strict=False) if c}
        return {
            "height": int(self.labels.shape[0]),
            "width": int(self.labels.shape[1]),
            "share": dict(sorted(shares.items(), key=lambda item: -item[1])),
            "mean_confidence": float(self.probabilities.max(axis=0).mean()),
        }

    def save(self, folder: str | Path, stem: str, probabilities: bool = False) -> dict[str, str]:
        """Writes `stem.png` (label indices with the classes' palette), `stem_overlay.jpg`, `stem.json`, of a sampled prediction
        `stem_uncertainty.png` (grey, 255 is a standard deviation of 0.5), and on request `stem_probabilities.npy`
        (K, H, W) float16. Each is written whole or not at all; the names written are returned."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        indexed = Image.fromarray(self.labels)
        indexed.putpalette(self.taxonomy.palette.ravel().tolist())
        files = {"labels": f"{stem}.png", "overlay": f"{stem}_overlay.jpg", "summary": f"{stem}.json"}
        with atomic_write(folder / files["labels"]) as aside:
            indexed.save(aside)
        with atomic_write(folder / files["overlay"]) as aside:
            self.overlay().save(aside, quality=92)
        if self.variance is not None:
            files["uncertainty"] = f"{stem}_uncertainty.png"
            with atomic_write(folder / files["uncertainty"]) as aside:
                Image.fromarray((510 * np.sqrt(self.uncertainty())).astype(np.uint8)).save(aside)
        if probabilities:
            files["probabilities"] = f"{stem}_probabilities.npy"
            with atomic_write(folder / files["probabilities"]) as aside, open(aside, "wb") as file:
                np.save(file, self.probabilities.astype(np.float16))
        write_text(folder / files["summary"], json.dumps(self.summary(), indent=2) + "\n")
        return files


class Predictor:
    """A network with everything that it needs to answer for an image file.

    Args:
        model: returns a dict with "logits".
        preprocessing: how an image becomes its input.
        taxonomy: its classes.
        logit_bias: K numbers added to the logits, what training with class weights takes back; none by default.
        device: "cpu", "cuda", "mps" or "auto".
        info: the bundle's description, if it came from one.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        taxonomy: Taxonomy,
        logit_bias: Sequence[float] = (),
        device: str = "auto",
        info: BundleInfo | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.preprocessing, self.taxonomy, self.info = preprocessing, taxonomy, info
        if len(logit_bias) not in (0, taxonomy.num_classes):
            raise UserError(f"{taxonomy.num_classes} classes need as many logit biases or none, got {len(logit_bias)}")
        bias = torch.tensor(logit_bias or [0.0], dtype=torch.float32, device=self.device)
        self.logit_bias = bias.view(1, -1, 1, 1)

    def predict(self, image: ImageLike, flip: bool = False, tile: int = TILE, samples: int = 0) -> Prediction:
        """Labels and probabilities for one image.

        Args:
            image: a path, a PIL image, or (H, W), (H, W, C) uint8, uint16 or float32.
            flip: also predict the mirrored image and average the probabilities.
            tile: side in pixels; a larger image is computed in overlapping tiles of this side.
            samples: 1 or more: the network is asked so often with dropout on, always the same way, and the mean of its
                probabilities counts; their variance says how sure it is (Bayesian SegNet).

        Raises:
            UserError: the file cannot be read, its channels do not fit the model, or samples of a model without dropout.
        """
        array = as_array(image)
        where = str(image) if isinstance(image, str | Path) else "image"
        variance = None
        if samples:
            probabilities, variance = self.sampled(array, where, flip, tile, samples)
        else:
            probabilities = self.probabilities(array, where, flip, tile)
        labels = probabilities.argmax(0).to(torch.uint8).cpu().numpy()
        spread = None if variance is None else variance.cpu().numpy()
        return Prediction(labels, probabilities.cpu().numpy(), self.taxonomy, display_image(array), spread)

    def sampled(self, image: Array, where: str, flip: bool, tile: int, samples: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of the probabilities, each (K, H, W) float32, over `samples` answers with dropout on."""
        return sample(self.model, lambda: self.probabilities(image, where, flip, tile), samples, seed=0)

    @torch.inference_mode()
    def probabilities(self, image: Array, where: str = "image", flip: bool = False, tile: int = TILE) -> Tensor:
        """(K, H, W) float32 probabilities of an (H, W, C) array, on the predictor's device."""
        tensor = self.preprocessing(image, where).to(self.device).contiguous(memory_format=torch.channels_last)
        logits = tiled_logits(self._logits, tensor, tile)
        result = logits.softmax(1)
        if flip:
            result = (result + tiled_logits(self._logits, tensor.flip(-1), tile).flip(-1).softmax(1)) / 2
        size = (image.shape[0], image.shape[1])
        if result.shape[-2:] != size:
            result = F.interpolate(result, size, mode="bilinear", align_corners=False)
        return result[0]

    def _logits(self, tensor: Tensor) -> Tensor:
        logits: Tensor = self.model(tensor)["logits"]
        return logits.float() + self.logit_bias


def pick_device(name: str = "auto") -> torch.device:
    """A device by name; "auto" is CUDA, then Apple's, then the CPU.

    Raises:
        UserError: a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'device "{name}" is not available here; use cpu, cuda, mps or auto') from error
    return device


def as_array(image: ImageLike) -> Array:
    """Any kind of image as (H, W, C) uint8, uint16 or float32.

    Raises:
        UserError: a file that cannot be read, or an array of another shape or dtype.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return image_from_pillow(image)
    array = image[..., None] if image.ndim == 2 else image
    if array.ndim != 3 or array.dtype not in (np.uint8, np.uint16, np.float32) or 0 in array.shape:
        raise UserError(f"expected (H, W, C) uint8, uint16 or float32, got {image.dtype} {image.shape}")
    if array.dtype == np.float32 and not np.isfinite(array).all():
        return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)  # as read_image does
    return array


def display_image(image: Array) -> Array:
    """(H, W, C) of any kind as (H, W, 3) uint8 to look at: the first three channels (or the first), stretched
    from the 2nd to the 98th percentile unless they are 8-bit already."""
    shown = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    if shown.dtype == np.uint8:
        return shown
    low, high = np.percentile(shown[::4, ::4], [2, 98])
    return (np.clip((shown - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def legend(taxonomy: Taxonomy, labels: Sequence[int]) -> list[tuple[str, tuple[int, int, int]]]:
    """(name, colour) of the given labels, in that order."""
    return [(taxonomy.names[i], taxonomy.colours[i]) for i in labels]
