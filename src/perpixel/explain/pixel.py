"""Why this pixel: its scores, what of the image moves the score of a class there, and how much around it is used."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perpixel.analyze.centred import CentredMean
from perpixel.analyze.effective import EffectiveField, fixed, gradient_energy
from perpixel.analyze.fields import Field
from perpixel.analyze.maps import LOGITS
from perpixel.core import Size
from perpixel.core.errors import UserError, nearest
from perpixel.core.image import Array
from perpixel.core.reporter import Reporter, Silent
from perpixel.explain.context import ContextCurve, Fill, context_curve, region_of
from perpixel.explain.fields import theoretical
from perpixel.explain.occluded import Grid, noise, occluded_batches
from perpixel.infer import Predictor
from perpixel.infer.images import as_array, display_image
from perpixel.infer.layout import TILE
from perpixel.infer.tiles import GRID
from perpixel.labels import Taxonomy

PASSES = 400
"""About how many occluders an explanation takes, unless told otherwise: seconds on a GPU, half a minute on a CPU."""


@dataclass(frozen=True)
class Explanation:
    """All maps are of the network's input, (h, w) pixels, which may be of another size than the image, or a part of it.

    picture: (h, w, 3) uint8. at: the pixel (row, column) on it. label: the class that is explained, predicted: the one given.
    scores: (K,) probabilities at the pixel.
    occlusion: (rows, columns of grid) what hiding adds to the class's probability; negative where it was for the class.
    gradient: (h, w) gradient energy of the class's logit at the pixel. effective: the same about the pixel.
    theoretical: None where not known. region: (h, w) bool, the segment that the curve is about.
    """

    picture: Array
    at: tuple[int, int]
    label: int
    predicted: int
    scores: Array
    taxonomy: Taxonomy
    grid: Grid
    occlusion: Array
    gradient: Array
    effective: EffectiveField
    theoretical: Field | None
    region: Array
    context: ContextCurve

    def strongest(self) -> tuple[float, float]:
        """The middle of the patch that moves the class most, as (row, column) in the picture."""
        place = int(abs(self.occlusion).argmax())
        return self.grid.centre((place // self.grid.shape[1], place % self.grid.shape[1]))

    def as_json(self) -> dict[str, Any]:
        """Everything but the maps of pixels."""
        names = self.taxonomy.names
        sides = self.theoretical.size if self.theoretical else (math.inf, math.inf)
        return {
            "input": list(self.picture.shape[:2]),
            "input_at": list(self.at),
            "explained": names[self.label],
            "predicted": names[self.predicted],
            "scores": {name: float(score) for name, score in zip(names, self.scores, strict=True)},
            "occlusion": {"side": self.grid.side, "step": self.grid.step, "change": self.occlusion.tolist()},
            "theoretical": [side if math.isfinite(side) else None for side in sides],
            "effective_side_90": self.effective.side(),
            "context": {
                "fill": self.context.fill,
                "region_pixels": self.context.pixels,
                "used": self.context.used if math.isfinite(self.context.used) else None,
                "curve": [
                    {"radius": p.radius if math.isfinite(p.radius) else None, "score": p.score, "iou": p.iou}
                    for p in self.context.points
                ],
            },
        }


def explain_pixel(
    predictor: Predictor,
    image: Array,
    at: tuple[int, int],
    label: int | None = None,
    side: int | None = None,
    step: int | None = None,
    fill: Fill = "mean",
    seed: int = 0,
    report: Reporter | None = None,
) -> Explanation:
    """Explains the answer for one pixel.

    Args:
        predictor: a network with its preprocessing; of tiles, flips and samples none is used.
        image: (H, W, C) uint8, uint16 or float32. Where the network's input would have more pixels than a tile, the part
            around the pixel is taken that has no more.
        at: (row, column), counted from 0, of the image.
        label: the class; None for the predicted one.
        side, step: of the patches of noise, in pixels of the network's input; None for about 400 of them, each half as
            wide again as the step.
        fill: what replaces the context, see `context_curve`. The curve is that of the segment at the pixel in the
            prediction, which has the predicted class, whatever `label` is.
        seed: of the noise.
        report: told (done, total) passes.

    Raises:
        UserError: a pixel outside the image, a class that is not there, or channels that do not fit.
    """
    image = as_array(image, predictor.preprocessing.stored, predictor.preprocessing.mean_of_bands)
    label = check(predictor.taxonomy, image.shape[:2], at, label)
    tensor = predictor.preprocessing(image).to(predictor.device)
    size: Size = (tensor.shape[-2], tensor.shape[-1])
    here = tuple((2 * a + 1) * n // (2 * m) for a, n, m in zip(at, size, image.shape, strict=False))
    tensor, place = around(tensor, (here[0], here[1]))
    return _explained(predictor, tensor, place, label, _grid(tensor, side, step), fill, seed, report or Silent())


def _explained(
    predictor: Predictor,
    image: Tensor,
    at: tuple[int, int],
    label: int | None,
    grid: Grid,
    fill: Fill,
    seed: int,
    report: Reporter,
) -> Explanation:
    model = predictor.model
    field = theoretical(model, image.shape[1], [LOGITS]).get(LOGITS)
    with fixed(model):
        with torch.inference_mode():
            found = probabilities(predictor, image)[0].cpu()
        labels, scores = found.argmax(dim=0).numpy(), found[:, at[0], at[1]].numpy()
        predicted = int(scores.argmax())
        label = predicted if label is None else label
        energy, _ = gradient_energy(model, image, LOGITS, label, at)
        occlusion = occlusion_map(predictor, image, at, label, grid, seed, report)
        region = region_of(labels, at)
        curve = context_curve(lambda x: probabilities(predictor, x), image, region, predicted, fill)
    return Explanation(
        picture_of(predictor, image), at, label, predicted, scores, predictor.taxonomy, grid, occlusion, energy,
        about(energy, at), field, region, curve,
    )  # fmt: skip


def probabilities(predictor: Predictor, batch: Tensor) -> Tensor:
    """(B, C, h, w) normalised to (B, K, h, w), as the predictor makes them of an image that needs no tiles."""
    logits = predictor.model(batch)["logits"].float()
    return (logits if predictor.logit_bias is None else logits + predictor.logit_bias).softmax(dim=1)


def occlusion_map(
    predictor: Predictor, image: Tensor, at: tuple[int, int], label: int, grid: Grid, seed: int, report: Reporter
) -> Array:
    """(rows, columns of the grid): the class's probability at a pixel with a patch hidden, less that without."""
    patch, changes, done = noise(image.shape[1], grid.side, seed), [], 0
    with torch.inference_mode():
        clean = probabilities(predictor, image)[0, label, at[0], at[1]]
        for batch in occluded_batches(image, patch, grid.corners):
            report.step(done, len(grid.corners), "hiding patches")
            changes.append(probabilities(predictor, batch)[:, label, at[0], at[1]] - clean)
            done += len(batch)
    return torch.cat(changes).reshape(grid.shape).cpu().numpy()


def about(energy: Array, at: tuple[int, int]) -> EffectiveField:
    """A gradient's energy as the field of one unit over one pixel of one image."""
    centred = CentredMean()
    centred.add(energy, at)
    return EffectiveField(centred.values / (centred.values.sum() or 1.0), 1)


def check(taxonomy: Taxonomy, size: tuple[int, ...], at: tuple[int, int], label: int | None) -> int | None:
    """Raises UserError for a pixel outside an image (H, W), or a class that there is not; returns the class."""
    if not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        raise UserError(
            f"the image has {size[0]} rows and {size[1]} columns, counted from 0; row {at[0]}, column {at[1]} lies outside"
        )
    if label is not None and not 0 <= label < taxonomy.num_classes:
        raise UserError(f"the model has classes 0 to {taxonomy.num_classes - 1}; there is no class {label}")
    return label


def class_named(taxonomy: Taxonomy, name: str) -> int:
    """The number of a class by its name, or by the number itself.

    Raises:
        UserError: there is none.
    """
    if name in taxonomy.names:
        return taxonomy.names.index(name)
    if name.isdecimal() and int(name) < taxonomy.num_classes:
        return int(name)
    hint = nearest(name, taxonomy.names) or f" It has {', '.join(taxonomy.names)}."
    raise UserError(f'the model has no class "{name}".{hint}')


def around(image: Tensor, at: tuple[int, int], tile: int = TILE) -> tuple[Tensor, tuple[int, int]]:
    """An image of no more pixels than a tile, and where the pixel is in it: the image itself, or a part of that side."""
    height, width = image.shape[-2:]
    if height * width <= tile * tile:
        return image, at
    top, left = (
        min(max(0, a - tile // 2) // GRID * GRID, -(-max(0, n - tile) // GRID) * GRID)
        for a, n in zip(at, (height, width), strict=True)
    )
    return image[..., top : top + tile, left : left + tile], (at[0] - top, at[1] - left)


def _grid(image: Tensor, side: int | None, step: int | None) -> Grid:
    size: Size = (image.shape[-2], image.shape[-1])
    step = max(1, math.ceil(math.sqrt(size[0] * size[1] / PASSES))) if step is None else step
    return Grid(size, min(side or (3 * step // 2) | 1, *size), step)


def picture_of(predictor: Predictor, image: Tensor) -> Array:
    """(h, w, 3) uint8 to look at, of what the network takes."""
    steps = predictor.preprocessing
    mean, std = (torch.tensor(v, device=image.device).view(-1, 1, 1) for v in (steps.mean, steps.std))
    pixels = (image[0] * std + mean).cpu()
    pixels = pixels.flip(0) if steps.bgr else pixels
    array = pixels.permute(1, 2, 0).numpy().astype(np.float32)
    if array.min() >= -0.01 and array.max() <= 1.01:  # 8 or 16 bits
        return display_image((np.clip(array, 0, 1) * 255).round().astype(np.uint8))
    return display_image(array)
