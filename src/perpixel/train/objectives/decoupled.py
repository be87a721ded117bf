"""Decoupled semi-supervised training: many images of which only the classes are known, and masks of a few.

Hong, Noh, Han, "Decoupled Deep Neural Network for Semi-supervised Semantic Segmentation", NIPS 2015, arXiv:1506.04924.

    stage 1   every image, and which classes it shows ──► classifier            sigmoid cross entropy, then frozen
    stage 2   the few images with masks ──► bridge, segmentation                softmax cross entropy, of two classes

What each stage sees of an image is in `decoupled_samples`. RUN/classifier is what stage 1 gave, a bundle that segments
nothing yet: with it as `init` and no steps of stage 1, other masks need stage 2 alone.

Differs from the paper:
- Which classes: half of the samples have one, half any of the sets that can be made of the image's classes. The paper
  has every set, and a single class is what inference asks for.
- Windows are drawn at random between the foreground's box and the whole image; the paper's are region proposals too.
- Stage 1 starts from fresh weights by AdamW unless told otherwise, not from ImageNet's; stage 2 has the authors' SGD, but
  its learning rate falls steadily, not once. Images are also changed in brightness, contrast and saturation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.bundle import BundleInfo, Preprocessing, save_bundle
from perpixel.bundle.network import build_network
from perpixel.core import IGNORE, Size
from perpixel.core.errors import UserError
from perpixel.core.reporter import Reporter
from perpixel.data.samples import Sample
from perpixel.infer.evaluate import evaluate
from perpixel.infer.predictor import Predictor
from perpixel.models.decouplednet import DecoupledNet
from perpixel.train.objective import Figures, Place
from perpixel.train.objectives.decoupled_samples import (
    Strong,
    Weak,
    classes_of,
    nearly_whole,
    one_mask,
)
from perpixel.train.recipe import OptimiserPart, Recipe

NETWORK = "decouplednet"
SGD = OptimiserPart(name="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4, clip_norm=None, ema=None)
"""The authors' optimiser of stage 2. AdamW serves it badly: its weights start small in front of batch norms."""


@dataclass(frozen=True)
class Batch:
    """image (B, C, H, W) uint8 or float32; classes (B, C) bool, those shown (stage 1) or asked for (stage 2); labels
    (B, H, W) uint8 of stage 2: 1 in a class that is asked for, 0 beside, 255 ignored."""

    image: Tensor
    classes: Tensor
    labels: Tensor | None
    names: tuple[str, ...]


class AsksWhich(nn.Module):
    """The network as stage 1 trains it: image -> {"scores": (B, C)}, of each class but the background."""

    def __init__(self, model: DecoupledNet) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        model.classifier.requires_grad_(True)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"scores": self.model.classify(image).scores}


class AsksWhere(nn.Module):
    """The network as stage 2 trains it: image, classes (B, C) -> {"logits": (B, 2, H, W)}. The classifier stays as it is."""

    def __init__(self, model: DecoupledNet) -> None:
        super().__init__()
        self.model = model.requires_grad_(True)
        model.classifier.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.model.classifier.eval()
        return self

    def forward(self, image: Tensor, classes: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            seen = self.model.classify(image)
        return {"logits": self.model.segment(seen, torch.sigmoid(seen.scores) * classes)}


@dataclass(frozen=True)
class Setup:
    """What both stages share. `val` is empty where the data has no such split."""

    model: DecoupledNet
    preprocessing: Preprocessing
    recipe: Recipe
    info: BundleInfo
    val: tuple[Sample, ...] = ()

    @property
    def size(self) -> Size:
        assert self.recipe.data.crop is not None
        return self.recipe.data.crop

    def numbered(self, stage: int, batch: int, place: Place) -> list[np.random.Generator]:
        """A generator for each sample of a batch, a pure function of seed, stage and the sample's number."""
        count = self.recipe.batch_size
        first = (batch * place.world + place.rank) * count
        return [np.random.default_rng((self.recipe.seed, stage, n)) for n in range(first, first + count)]

    def predictor(self, weights: Mapping[str, Tensor], device: torch.device) -> Predictor:
        """A network of its own with the weights of a stage."""
        state = torch.random.get_rng_state()  # a fresh network draws weights; training must not notice
        taxonomy = self.info.classes
        network = build_network(
            NETWORK, taxonomy.num_classes, self.preprocessing.channels, self.info.options, filled=True
        )
        torch.random.set_rng_state(state)
        network.load_state_dict({k.removeprefix("model."): v for k, v in weights.items()})
        return Predictor(network, self.preprocessing, taxonomy, device=str(device))

    def keep(self, folder: Path, predictor: Predictor, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """The bundle of a stage."""
        about = {"training": {**self.info.training, **training}, "metrics": dict(metrics)}
        return save_bundle(folder, predictor.model, self.info.model_copy(update=about))


class Classes:
    """Stage 1: the classifier learns which classes an image shows, from nearly the whole of it."""

    name, judged, tally = "classes", 0, None

    def __init__(self, setup: Setup, weak: Weak) -> None:
        self.setup, self.weak = setup, weak
        self.network, self.samples = AsksWhich(setup.model), len(weak.images)
        self.predictor = setup.predictor

    def batches(self, first: int, last: int, place: Place) -> Iterator[Batch]:
        """Windows of images drawn at random, with the classes of the whole images."""
        for number in range(first, last):
            drawn = [(int(rng.integers(self.samples)), rng) for rng in self.setup.numbered(1, number, place)]
            seen = [nearly_whole(self.weak.images[i], None, self.setup.size, rng)[0] for i, rng in drawn]
            chosen = [i for i, _ in drawn]
            yield Batch(torch.stack(seen), self.weak.present[chosen], None, tuple(f"image {i}" for i in chosen))

    def inputs(self, batch: Batch, device: torch.device) -> tuple[Tensor]:
        """The normalised image."""
        return (self.setup.preprocessing.normalise(batch.image.to(device)),)

    def loss(self, output: dict[str, Tensor], batch: Batch) -> Tensor:
        """Sigmoid cross entropy of each class."""
        return F.binary_cross_entropy_with_logits(output["scores"], batch.classes.to(output["scores"]))

    def judge(self, predictor: Predictor, report: Reporter, most: int | None = None) -> Figures:
        """Never called: no mask is looked at in this stage."""
        raise NotImplementedError

    def keep(self, run: Path, predictor: Predictor, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """`classifier/`."""
        return self.setup.keep(run / "classifier", predictor, training, metrics)


class Masks:
    """Stage 2: bridge and segmentation learn to find the classes that they are asked for.

    Raises:
        UserError: no mask has a class beside the background.
    """

    name, tally = "masks", None

    def __init__(self, setup: Setup, strong: Strong) -> None:
        self.setup, self.strong = setup, strong
        self.classes = setup.info.classes.num_classes - 1
        self.usable = [i for i, x in enumerate(strong.labels) if classes_of(x, self.classes + 1, 0.0).any()]
        if not self.usable:
            raise UserError("no mask has a pixel of a class beside the background; give masks of every class")
        self.network = AsksWhere(setup.model)
        self.samples, self.judged = len(self.usable), len(setup.val)
        self.predictor = setup.predictor

    def batches(self, first: int, last: int, place: Place) -> Iterator[Batch]:
        """Windows around some of a mask's classes."""
        for number in range(first, last):
            drawn = []
            for rng in self.setup.numbered(2, number, place):
                index = self.usable[int(rng.integers(len(self.usable)))]
                drawn.append((*one_mask(self.strong, index, self.classes, self.setup.size, rng), f"mask {index}"))
            images, targets, chosen, names = zip(*drawn, strict=True)
            yield Batch(torch.stack(images), torch.stack(chosen), torch.stack(targets), names)

    def inputs(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        """The normalised image, and the classes that are asked for."""
        return self.setup.preprocessing.normalise(batch.image.to(device)), batch.classes.to(device)

    def loss(self, output: dict[str, Tensor], batch: Batch) -> Tensor:
        """Softmax cross entropy of beside and inside."""
        assert batch.labels is not None
        target = batch.labels.to(output["logits"].device).long()
        return F.cross_entropy(output["logits"], target, ignore_index=IGNORE)

    def judge(self, predictor: Predictor, report: Reporter, most: int | None = None) -> Figures:
        """Mean IoU over whole images of the val split, at their own size."""
        samples = self.setup.val[:most]
        measured = evaluate(predictor, samples, predictor.taxonomy, ("confusion",), report=report)
        mean_iou = float(np.nan_to_num(measured.evaluation.confusion.mean_iou))
        metrics = {**measured.results, "split": self.setup.recipe.data.val_split, "images": len(samples)}
        return Figures(mean_iou, {"val_mean_iou": mean_iou}, metrics, f"val mIoU {mean_iou:.4f}")

    def keep(self, run: Path, predictor: Predictor, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """`best/`."""
        return self.setup.keep(run / "best", predictor, training, metrics)
