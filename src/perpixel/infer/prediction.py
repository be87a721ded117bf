"""What a model says of one image, and the files that it becomes."""

import io
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.files import LONGEST_NAME, atomic_write, write_text
from perpixel.core.georeference import Georeference, write_labels
from perpixel.core.image import Array
from perpixel.core.words import some_names
from perpixel.labels import Taxonomy

NOTEBOOK_SIDE = 1024
"""A notebook is shown an overlay of at most this side."""


@dataclass(frozen=True)
class Probabilities:
    """values (K, H, W) float32, summing to 1 over K (to at most 1 after `Predictor.answering`); variance (K, H, W) float32 in
    [0, 0.25] where they were sampled."""

    values: Array
    variance: Array | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image, at the image's own size.

    Args:
        labels: (H, W) uint8 in [0, K).
        taxonomy: the K classes.
        image: (H, W, 3) uint8, for pictures.
        mean_confidence: the mean over the pixels of the chosen class's probability.
        ask: gives the probabilities, which take K times 4 bytes a pixel and are computed only when they are looked at.
        mean_variance: (H, W) float32 in [0, 0.25] where the probabilities were sampled.
        tiles: of an image that went in tiles, "tiles equal the whole" or "blended: N tiles (why)"; else empty.
    """

    labels: Array
    taxonomy: Taxonomy
    image: Array
    mean_confidence: float
    ask: Callable[[], Probabilities] = field(repr=False)
    mean_variance: Array | None = None
    tiles: str = ""

    @cached_property
    def _asked(self) -> Probabilities:
        return self.ask()

    @property
    def probabilities(self) -> Array:
        """(K, H, W) float32, summing to 1 over K. The network is asked once more for them, unless `predict` was told to keep them."""
        return self._asked.values

    @property
    def variance(self) -> Array | None:
        """(K, H, W) float32 in [0, 0.25] of the probabilities where they were sampled, else None; as `probabilities`."""
        return self._asked.variance if self.mean_variance is not None else None

    def uncertainty(self) -> Array:
        """(H, W) float32 in [0, 0.25]: the variance of the sampled probabilities, averaged over the classes.

        Raises:
            UserError: the prediction was not sampled.
        """
        if self.mean_variance is None:
            raise UserError("this prediction was not sampled; predict with samples=40 (--samples 40) for uncertainty")
        return self.mean_variance

    def overlay(self, opacity: float = 0.55) -> Image.Image:
        """The image with the classes' colours laid over it; `opacity` from 0 (image) to 1 (colours)."""
        colours = self.taxonomy.colourise(self.labels)
        return Image.blend(Image.fromarray(self.image), Image.fromarray(colours), opacity)

    def summary(self) -> dict[str, Any]:
        """Size, the share of each class that occurs (of all pixels) and the mean probability of the chosen class."""
        counts = np.bincount(self.labels.ravel(), minlength=self.taxonomy.num_classes)
        shares = {n: float(c) / self.labels.size for n, c in zip(self.taxonomy.names, counts, strict=False) if c}
        return {
            "height": int(self.labels.shape[0]),
            "width": int(self.labels.shape[1]),
            "share": dict(sorted(shares.items(), key=lambda item: -item[1])),
            "mean_confidence": self.mean_confidence,
            **({"tiles": self.tiles} if self.tiles else {}),
        }

    def __repr__(self) -> str:
        """Such as Prediction(360x480, road 41%, sky 20%, car 12% and 5 more)."""
        summary = self.summary()
        shares = [f"{name} {share:.0%}" for name, share in summary["share"].items()]
        return f"Prediction({summary['height']}x{summary['width']}, {some_names(shares, 3)})"

    def _repr_png_(self) -> bytes:
        """The overlay, for a notebook."""
        return notebook_png(self.overlay())

    def save(
        self, folder: str | Path, stem: str, probabilities: bool = False, place: Georeference | None = None
    ) -> dict[str, str]:
        """Writes `stem.png` (label indices with the classes' palette), `stem_overlay.jpg`, `stem.json`, of a sampled prediction
        `stem_uncertainty.png` (grey, 255 is a standard deviation of 0.5), and on request `stem_probabilities.npy`
        (K, H, W) float16. With the `place` of the image on the earth (`read_georeference`), also `stem_labels.tif`, a GeoTIFF
        that lies there. Each is written whole or not at all; the names written are returned.

        Raises:
            UserError: a name would be too long for a file system.
            OSError: the disk is full or the folder cannot be written to.
        """
        folder = Path(folder)
        files = {"labels": f"{stem}.png", "overlay": f"{stem}_overlay.jpg"}
        files |= {"uncertainty": f"{stem}_uncertainty.png"} if self.mean_variance is not None else {}
        files |= {"probabilities": f"{stem}_probabilities.npy"} if probabilities else {}
        files |= {"geotiff": f"{stem}_labels.tif"} if place else {}
        files["summary"] = f"{stem}.json"
        _refuse_long(files.values())
        folder.mkdir(parents=True, exist_ok=True)
        indexed = Image.fromarray(self.labels)
        indexed.putpalette(self.taxonomy.palette.ravel().tolist())
        save_picture(indexed, folder / files["labels"])
        save_picture(self.overlay(), folder / files["overlay"], quality=92)
        if self.mean_variance is not None:
            grey = Image.fromarray((510 * np.sqrt(self.mean_variance)).astype(np.uint8))
            save_picture(grey, folder / files["uncertainty"])
        if probabilities:
            with atomic_write(folder / files["probabilities"]) as aside, open(aside, "wb") as file:
                np.save(file, self.probabilities.astype(np.float16))
        if place:
            write_labels(folder / files["geotiff"], self.labels, place, self.taxonomy.palette)
        write_text(folder / files["summary"], json.dumps(self.summary(), indent=2) + "\n")
        return files


def notebook_png(picture: Image.Image) -> bytes:
    """A picture as PNG, made smaller where it is larger than a notebook shows."""
    picture, file = picture.copy(), io.BytesIO()
    picture.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
    picture.save(file, "PNG")
    return file.getvalue()


def _refuse_long(names: Iterable[str]) -> None:
    length = max(len(os.fsencode(name)) for name in names)
    if length > LONGEST_NAME:
        raise UserError(f"the name of a result would have {length} bytes, {LONGEST_NAME} at most; rename the image")


def save_picture(picture: Image.Image, file: Path, **how: Any) -> None:
    """Encoded in memory first, where a full disk cannot be mistaken for a fault of the encoder."""
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG" if file.suffix == ".jpg" else "PNG", **how)
    with atomic_write(file) as aside:
        aside.write_bytes(encoded.getbuffer())
