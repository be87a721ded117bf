"""Decoupled semi-supervised training: many images of which only the classes are known, and masks of a few.

Hong, Noh, Han, "Decoupled Deep Neural Network for Semi-supervised Semantic Segmentation", NIPS 2015, arXiv:1506.04924.

    stage 1   every image, and which classes it shows ──► classifier            sigmoid cross entropy, then frozen
    stage 2   the few images with masks ──► bridge, segmentation                softmax cross entropy, of two classes

What each stage sees of an image is in `decoupled_samples`.

Differs from the paper:
- Which classes: half of the samples have one, half any of the sets that can be made of the image's classes. The paper
  has every set, and a single class is what inference asks for.
- Windows are drawn at random between the foreground's box and the whole image; the paper's are region proposals too.
- Stage 1 starts from fresh weights by AdamW unless told otherwise, not from ImageNet's; stage 2 has the authors' SGD, but
  its learning rate falls steadily, not once. Images are also changed in brightness, contrast and saturation.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.bundle import BundleInfo, save_bundle
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core import IGNORE, Size
from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.loader import TrainingSet
from perpixel.data.statistics import infer_taxonomy, measure_images
from perpixel.infer.evaluate import evaluate
from perpixel.infer.predictor import Predictor, pick_device
from perpixel.models import build
from perpixel.models.decouplednet import DecoupledNet
from perpixel.train.decoupled_samples import (
    Strong,
    Weak,
    background_first,
    choose,
    classes_of,
    nearly_whole,
    one_mask,
    views,
    with_more,
)
from perpixel.train.initial import expected_pixels, start_from
from perpixel.train.optimise import learning_rate, make_optimiser
from perpixel.train.recipe import OptimiserPart

NETWORK = "decouplednet"

SGD = OptimiserPart(name="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4, clip_norm=None)
"""The authors' optimiser of stage 2."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Decoupled:
    """What to train, and how long.

    Args:
        masks_per_class: of how many images for each class the masks may be used; fewer where there are fewer.
        size: (H, W) of the samples; images are held in memory with the shorter side of these as theirs.
        steps: of stage 1 and of stage 2; 0 leaves a stage out, as for a classifier that `init` brings.
        batch_size: of both.
        least_share: of an image's labelled pixels, what a class needs to count as there.
        optimisers: of stage 1 and of stage 2, as in a recipe; each goes through its whole schedule. AdamW serves stage 2
            badly: its weights start small in front of batch norms.
        options: of the network, as `perpixel.build("decouplednet", ...)` takes them.
        init: a run or a bundle whose weights to start from, those that fit: a `classifier` of an earlier run, or VGG-16's.
        seed: of the weights, of which masks are taken, and of every sample.
    """

    masks_per_class: int = 10
    size: Size = (320, 320)
    steps: tuple[int, int] = (10_000, 7_500)
    batch_size: int = 16
    least_share: float = 0.0
    optimisers: tuple[OptimiserPart, OptimiserPart] = (OptimiserPart(), SGD)
    options: Mapping[str, Any] = field(default_factory=dict)
    init: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class DecoupledRun:
    """Where the bundle is, how many masks it had, and the mIoU of the val split (NaN without one)."""

    bundle: Path
    masks: int
    mean_iou: float


def train_decoupled(
    data: str | Path,
    out: str | Path,
    how: Decoupled | None = None,
    more: Mapping[Path, Collection[str]] | None = None,
    say: Say = print,
    device: str = "auto",
) -> DecoupledRun:
    """Trains `decouplednet` on a data folder and leaves a bundle in `out/best`, for `perpixel evaluate` and `predict`.

    Of the train split's masks, those of `masks_per_class` images a class are used as masks; of all others only which
    classes they hold. `more` names images that have no mask at all, and the classes that each shows. What stage 1 gave is
    left in `out/classifier`: with it as `init` and no steps of stage 1, other masks need stage 2 alone.

    Example:
        >>> from perpixel.train.decoupled import Decoupled, train_decoupled
        >>> train_decoupled("DATA", "runs/few", Decoupled(masks_per_class=10))  # doctest: +SKIP

    Raises:
        UserError: the data cannot be used, a class in `more` does not exist, or a loss became non-finite.
    """
    how = how or Decoupled()
    dataset = open_dataset(data)
    samples, val = dataset.split("train"), dataset.splits.get("val", ())
    taxonomy = dataset.taxonomy or infer_taxonomy([*samples, *val])
    found = measure_images(samples, taxonomy)
    mean, std, bgr = expected_pixels(how.init, NETWORK, found)
    preprocessing = Preprocessing(found.channels, mean, std, min(how.size), bgr=bgr)
    torch.manual_seed(how.seed)
    model = build(NETWORK, taxonomy.num_classes, found.channels, **how.options)
    assert isinstance(model, DecoupledNet)
    if how.init:
        say(start_from(model, how.init))
    model.to(pick_device(device))
    reader = TrainingSet(samples, taxonomy, views(how.size), how.seed, found.channels, min(how.size))
    weak, strong = weak_and_strong(reader, model.background, how)
    if more:
        weak = with_more(weak, more, taxonomy, model.background, preprocessing)
    say(f"data      {len(weak.images)} images with classes, {len(strong.images)} of them with masks")
    info = BundleInfo(
        network=NETWORK,
        options=dict(how.options),
        taxonomy=taxonomy.to_dict(),
        preprocessing=preprocessing,
        training={"steps": list(how.steps), "masks": len(strong.images), "images": len(weak.images)},
        data={"name": dataset.name, "licence": dataset.licence, "train_images": len(weak.images)},
    )
    train_classifier(model, preprocessing, weak, how, say)
    if how.steps[0]:
        say(f"classes   {save_bundle(Path(out) / 'classifier', model, info)}: segments nothing yet; for --from")
    train_segmentation(model, preprocessing, strong, how, say)
    mean_iou = math.nan
    if val:
        measured = evaluate(Predictor(model, preprocessing, taxonomy, device=device), val, taxonomy, ("confusion",))
        mean_iou = measured.evaluation.confusion.mean_iou
        info = info.model_copy(update={"metrics": {**measured.results, "split": "val"}})
        say(f"val       mIoU {mean_iou:.3f} over {len(val)} images")
    return DecoupledRun(save_bundle(Path(out) / "best", model.eval(), info), len(strong.images), mean_iou)


def weak_and_strong(reader: TrainingSet, background: int, how: Decoupled) -> tuple[Weak, Strong]:
    """All training images with the classes of their masks, and the few of which the mask itself is used."""
    images, masks = zip(*(reader.decode(i) for i in range(len(reader))), strict=True)
    labels = [background_first(mask, background) for mask in masks]
    present = torch.stack([classes_of(x, reader.taxonomy.num_classes, how.least_share) for x in labels])
    taken = choose(present, how.masks_per_class, np.random.default_rng(how.seed))
    return Weak(list(images), present), Strong([images[i] for i in taken], [labels[i] for i in taken])


def train_classifier(model: DecoupledNet, preprocessing: Preprocessing, weak: Weak, how: Decoupled, say: Say) -> None:
    """Stage 1: the classifier learns which classes an image shows, from nearly the whole of it; then it is frozen."""
    rng = np.random.default_rng((how.seed, 1))
    device = next(model.parameters()).device
    model.train()
    model.classifier.requires_grad_(True)

    def loss() -> Tensor:
        chosen = rng.integers(len(weak.images), size=how.batch_size)
        seen = [nearly_whole(weak.images[i], None, how.size, rng)[0] for i in chosen]
        scores = model.classify(preprocessing.normalise(torch.stack(seen).to(device))).scores
        return F.binary_cross_entropy_with_logits(scores, weak.present[torch.from_numpy(chosen)].to(scores))

    descend(model.classifier, loss, how.steps[0], how.optimisers[0], "classes", say)
    model.classifier.requires_grad_(False)


def train_segmentation(
    model: DecoupledNet, preprocessing: Preprocessing, strong: Strong, how: Decoupled, say: Say
) -> None:
    """Stage 2: bridge and segmentation learn to find the classes that they are given; the classifier stays as it is.

    Raises:
        UserError: no mask has a class beside the background.
    """
    rng = np.random.default_rng((how.seed, 2))
    device = next(model.parameters()).device
    classes = model.classifier.score.out_channels
    usable = [i for i, x in enumerate(strong.labels) if classes_of(x, classes + 1, 0.0).any()]
    if not usable:
        raise UserError("no mask has a pixel of a class beside the background; give masks of every class")
    model.train()
    model.classifier.eval()

    def loss() -> Tensor:
        drawn = [
            one_mask(strong, usable[rng.integers(len(usable))], classes, how.size, rng) for _ in range(how.batch_size)
        ]
        images, targets, chosen = (torch.stack(x).to(device) for x in zip(*drawn, strict=True))
        with torch.no_grad():
            seen = model.classify(preprocessing.normalise(images))
        logits = model.segment(seen, torch.sigmoid(seen.scores) * chosen)
        return F.cross_entropy(logits, targets.long(), ignore_index=IGNORE)

    trained = nn.ModuleList([model.norm_pool5, model.norm_back, model.segmentation])
    descend(trained, loss, how.steps[1], how.optimisers[1], "masks", say)


def descend(part: nn.Module, loss: Callable[[], Tensor], steps: int, how: OptimiserPart, name: str, say: Say) -> None:
    """So many steps of the optimiser on what of `part` is trainable; says the mean loss about ten times.

    Raises:
        UserError: the loss became non-finite.
    """
    optimiser, sums = make_optimiser(part, how), []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, how) * group["factor"]
        value = loss()
        sums.append(float(value.detach()))
        if not math.isfinite(sums[-1]):
            raise UserError(
                f"the loss of {name} became {sums[-1]} at step {step + 1}; lower its learning rate ({how.lr:g})"
            )
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if how.clip_norm:
            nn.utils.clip_grad_norm_(part.parameters(), how.clip_norm)
        optimiser.step()
        if (step + 1) % max(1, steps // 10) == 0:
            say(f"{name:9} step {step + 1}/{steps}, loss {np.mean(sums):.4f}")
            sums.clear()
