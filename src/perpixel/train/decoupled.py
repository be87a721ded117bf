"""Decoupled semi-supervised training: many images of which only the classes are known, and masks of a few.

Hong, Noh, Han, "Decoupled Deep Neural Network for Semi-supervised Semantic Segmentation", NIPS 2015, arXiv:1506.04924.

    stage 1   every image, and which classes it shows ──► classifier            sigmoid cross entropy, then frozen
    stage 2   the few images with masks ──► bridge, segmentation                softmax cross entropy, of two classes

A mask gives many samples for stage 2: some of its classes are the foreground, all others the background, and the image is
cut to a window that holds that foreground (section 4.2, "combinatorial cropping").

Differs from the paper:
- Which classes: half of the samples have one, half any of the sets that can be made of the image's classes. The paper
  has every set, and a single class is what inference asks for.
- Windows are drawn at random between the foreground's box and the whole image; the paper's are region proposals too.
- Stage 1 starts from fresh weights by AdamW unless told otherwise, not from ImageNet's; stage 2 has the authors' SGD, but
  its learning rate falls steadily, not once. Images are also changed in brightness, contrast and saturation.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from perpixel.core import IGNORE, Size
from perpixel.core.errors import UserError, nearest
from perpixel.core.image import match_channels, read_image
from perpixel.data.folders import open_dataset
from perpixel.data.loader import TrainingSet
from perpixel.data.statistics import infer_taxonomy, measure_images
from perpixel.data.transforms import Augmentation, augment, resize_short_side, to_tensor
from perpixel.infer.bundle import BundleInfo, save_bundle
from perpixel.infer.evaluate import evaluate
from perpixel.infer.predictor import Predictor
from perpixel.infer.preprocessing import Preprocessing
from perpixel.labels import Taxonomy
from perpixel.models import build
from perpixel.models.decouplednet import DecoupledNet
from perpixel.train.optimise import learning_rate, make_optimiser
from perpixel.train.recipe import OptimiserPart

KEPT = 320 / 350
"""The least part of each side of an image that stage 1 sees: the authors take 320 of 350 pixels."""

SGD = OptimiserPart(name="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4, clip_norm=None)
"""The authors' optimiser of stage 2."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Decoupled:
    """What to train, and how long.

    Args:
        masks_per_class: of how many images for each class the masks may be used; fewer where there are fewer.
        size: (H, W) of the samples; images are held in memory with the shorter side of these as theirs.
        steps: of stage 1 and of stage 2.
        batch_size: of both.
        least_share: of an image's labelled pixels, what a class needs to count as there.
        optimisers: of stage 1 and of stage 2, as in a recipe; each goes through its whole schedule. AdamW serves stage 2
            badly: its weights start small in front of batch norms.
        options: of the network, as `perpixel.build("decouplednet", ...)` takes them.
        seed: of the weights, of which masks are taken, and of every sample.
    """

    masks_per_class: int = 10
    size: Size = (320, 320)
    steps: tuple[int, int] = (10_000, 7_500)
    batch_size: int = 16
    least_share: float = 0.0
    optimisers: tuple[OptimiserPart, OptimiserPart] = (OptimiserPart(), SGD)
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


class Weak(NamedTuple):
    """Images `(C, H, W)` uint8 or float32, each of its own size, and `present` (N, classes) bool, background left out."""

    images: list[Tensor]
    present: Tensor


class Strong(NamedTuple):
    """Images as in `Weak`, and their labels `(H, W)` uint8: 0 the background, then the classes, 255 ignored."""

    images: list[Tensor]
    labels: list[Tensor]


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
) -> DecoupledRun:
    """Trains `decouplednet` on a data folder and leaves a bundle in `out/best`, for `perpixel evaluate` and `predict`.

    Of the train split's masks, those of `masks_per_class` images a class are used as masks; of all others only which
    classes they hold. `more` names images that have no mask at all, and the classes that each shows.

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
    preprocessing = Preprocessing(found.channels, found.mean, found.std, min(how.size))
    torch.manual_seed(how.seed)
    model = build("decouplednet", taxonomy.num_classes, found.channels, **how.options)
    assert isinstance(model, DecoupledNet)
    reader = TrainingSet(samples, taxonomy, views(how.size), how.seed, found.channels, min(how.size))
    pairs = [reader.decode(i) for i in range(len(reader))]
    labels = [background_first(mask, model.background) for _, mask in pairs]
    present = torch.stack([classes_of(x, taxonomy.num_classes, how.least_share) for x in labels])
    strong = choose(present, how.masks_per_class, np.random.default_rng(how.seed))
    weak = Weak([image for image, _ in pairs], present)
    if more:
        weak = with_more(weak, more, taxonomy, model.background, preprocessing)
    say(f"data      {len(weak.images)} images with classes, {len(strong)} of them with masks")
    train_classifier(model, preprocessing, weak, how, say)
    masks = Strong([pairs[i][0] for i in strong], [labels[i] for i in strong])
    train_segmentation(model, preprocessing, masks, how, say)
    mean_iou, metrics = math.nan, {}
    if val:
        predictor = Predictor(model, preprocessing, taxonomy)
        measured = evaluate(predictor, val, taxonomy, ("confusion",))
        mean_iou, metrics = measured.evaluation.confusion.mean_iou, {**measured.results, "split": "val"}
        say(f"val       mIoU {mean_iou:.3f} over {len(val)} images")
    info = BundleInfo(
        network="decouplednet",
        options=dict(how.options),
        taxonomy=taxonomy.to_dict(),
        channels=found.channels,
        mean=found.mean,
        std=found.std,
        short_side=preprocessing.short_side,
        training={"steps": list(how.steps), "masks": len(strong), "images": len(weak.images)},
        metrics=metrics,
        data={"name": dataset.name, "licence": dataset.licence, "train_images": len(weak.images)},
    )
    return DecoupledRun(save_bundle(Path(out) / "best", model.eval(), info), len(strong), mean_iou)


def train_classifier(model: DecoupledNet, preprocessing: Preprocessing, weak: Weak, how: Decoupled, say: Say) -> None:
    """Stage 1: the classifier learns which classes an image shows, from nearly the whole of it; then it is frozen."""
    rng = np.random.default_rng((how.seed, 1))
    model.train()
    model.classifier.requires_grad_(True)

    def loss() -> Tensor:
        chosen = rng.integers(len(weak.images), size=how.batch_size)
        seen = [nearly_whole(weak.images[i], None, how.size, rng)[0] for i in chosen]
        scores = model.classify(preprocessing.normalise(torch.stack(seen))).scores
        return F.binary_cross_entropy_with_logits(scores, weak.present[torch.from_numpy(chosen)].to(scores.dtype))

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
        images, targets, chosen = (torch.stack(x) for x in zip(*drawn, strict=True))
        with torch.no_grad():
            seen = model.classify(preprocessing.normalise(images))
        logits = model.segment(seen, torch.sigmoid(seen.scores) * chosen)
        return F.cross_entropy(logits, targets.long(), ignore_index=IGNORE)

    trained = nn.ModuleList([model.norm_pool5, model.norm_back, model.segmentation])
    descend(trained, loss, how.steps[1], how.optimisers[1], "masks", say)


def one_mask(
    strong: Strong, index: int, classes: int, size: Size, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A sample of stage 2: the image, a target of 0, 1 and 255, and (classes,) bool, which classes are the foreground."""
    image, labels = strong.images[index], strong.labels[index]
    chosen = subset(classes_of(labels, classes + 1, 0.0), rng)
    image, labels = around(image, labels, chosen, size, rng)
    return image, only(labels, chosen), chosen


def only(labels: Tensor, chosen: Tensor) -> Tensor:
    """Labels with the background as 0 -> 1 where one of the `chosen` classes (classes,) bool is, else 0; 255 stays.

    >>> only(torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8), torch.tensor([True, False, True])).tolist()
    [[0, 1, 0, 1, 255]]
    """
    table = np.zeros(256, np.uint8)
    table[IGNORE], table[1 : len(chosen) + 1] = IGNORE, chosen.numpy()
    return torch.from_numpy(table[labels.numpy()])


def subset(present: Tensor, rng: np.random.Generator) -> Tensor:
    """One of the present classes or, half of the time, any set of them but the empty one: (classes,) bool both."""
    there = np.flatnonzero(present.numpy())
    taken = np.zeros(len(there), bool)
    if rng.random() < 0.5:
        taken[rng.integers(len(there))] = True
    while not taken.any():
        taken = rng.random(len(there)) < 0.5
    chosen = torch.zeros_like(present)
    chosen[torch.from_numpy(there[taken])] = True
    return chosen


def around(
    image: Tensor, labels: Tensor, chosen: Tensor, size: Size, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A window that holds all of the chosen classes, at random between their box and the whole image, at `size`."""
    inside = only(labels, chosen) == 1
    places = [np.flatnonzero(inside.any(dim=axis).numpy()) for axis in (1, 0)]
    return cut(image, labels, [(int(p[0]), int(p[-1]) + 1) for p in places], size, rng)


def nearly_whole(image: Tensor, labels: Tensor | None, size: Size, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A window of at least `KEPT` of each side, at `size`; labels None are all ignored."""
    spans = [(m := int(length * (1 - KEPT) / 2), length - m) for length in image.shape[-2:]]
    labels = torch.full(image.shape[-2:], IGNORE, dtype=torch.uint8) if labels is None else labels
    return cut(image, labels, spans, size, rng)


def cut(
    image: Tensor, labels: Tensor, spans: Sequence[tuple[int, int]], size: Size, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A random window around the spans (first, end) of rows and of columns, resized to `size`, mirrored, in other light."""
    (top, bottom), (left, right) = (
        (int(rng.integers(first + 1)), int(rng.integers(end, length + 1)))
        for (first, end), length in zip(spans, labels.shape, strict=True)
    )
    box, shape = [top, left, bottom - top, right - left], list(size)
    image = T.resized_crop(image, *box, shape, InterpolationMode.BILINEAR, antialias=True)
    labels = T.resized_crop(labels[None], *box, shape, InterpolationMode.NEAREST_EXACT)[0]
    return augment(image, labels, views(size), rng)


def views(size: Size) -> Augmentation:
    """What happens to a window of the size already: mirroring and jitter."""
    return Augmentation(crop=size, scale=(1.0, 1.0), max_class_share=1.0, flip=True, jitter=0.3)


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


def background_first(labels: Tensor, background: int) -> Tensor:
    """Labels in which the background is 0 and the classes follow in their order; 255 stays.

    >>> background_first(torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8), 2).tolist()
    [[1, 2, 0, 3, 255]]
    """
    table = np.arange(256, dtype=np.uint8)
    table[:background] += 1
    table[background] = 0
    return torch.from_numpy(table[labels.numpy()])


def classes_of(labels: Tensor, num_classes: int, least_share: float) -> Tensor:
    """Labels with the background as 0 -> (num_classes - 1,) bool: which classes have that share of the pixels, and one.

    >>> classes_of(torch.tensor([[0, 1, 1, 3, 255]], dtype=torch.uint8), 4, 0.5).tolist()
    [True, False, False]
    """
    counts = torch.bincount(labels.flatten(), minlength=256)[:num_classes]
    return counts[1:] >= (least_share * counts.sum()).clamp(min=1)


def choose(present: Tensor, per_class: int, rng: np.random.Generator) -> list[int]:
    """Which images' masks are used: for each class, the rarest first, `per_class` that show it and are not taken yet."""
    taken: list[int] = []
    for c in torch.argsort(present.sum(dim=0)).tolist():
        left = np.setdiff1d(np.flatnonzero(present[:, c].numpy()), taken)
        taken += rng.permutation(left)[:per_class].tolist()
    return sorted(taken)


def with_more(
    weak: Weak,
    more: Mapping[Path, Collection[str]],
    taxonomy: Taxonomy,
    background: int,
    preprocessing: Preprocessing,
) -> Weak:
    """The images, and those that have no mask, with the classes that they are said to show.

    Raises:
        UserError: there is no such class, or an image cannot be read.
    """
    names = [name for i, name in enumerate(taxonomy.names) if i != background]
    images, rows = list(weak.images), [weak.present]
    for path, shown in more.items():
        for name in shown:
            if name not in taxonomy.names:
                raise UserError(f'{path}: there is no class "{name}".{nearest(name, taxonomy.names)}')
        image = to_tensor(match_channels(read_image(path), preprocessing.channels, str(path)))
        images.append(resize_short_side(image, None, preprocessing.short_side or 1)[0])
        rows.append(torch.tensor([[name in shown for name in names]]))
    return Weak(images, torch.cat(rows))
