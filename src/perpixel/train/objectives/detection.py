"""Detection: a box around each object, by the losses of anchors and regions, judged by average precision on whole images."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from perpixel.bundle import BundleInfo, Detector, Preprocessing, save_bundle
from perpixel.bundle.network import build_network
from perpixel.core.errors import UserError
from perpixel.core.reporter import Reporter
from perpixel.data.bands import find_bands
from perpixel.data.decoded import keep_decoded
from perpixel.data.fingerprint import look
from perpixel.data.folders import open_dataset
from perpixel.data.loader import Stream, TrainingSet, batches_of
from perpixel.data.measured import identity
from perpixel.data.samples import Dataset, Sample
from perpixel.detection import DetectionLoss, Objects, build, detection_loss, detector_options
from perpixel.detection.samples import Batch, DetectionSet, collate, pack, unpack
from perpixel.detection.truth import ObjectRule, object_classes, objects_of
from perpixel.infer.detector import BoxPredictor
from perpixel.infer.evaluate_boxes import evaluate_boxes
from perpixel.labels import Taxonomy
from perpixel.train.initial import expected_pixels, weights_lines
from perpixel.train.objective import Figures, Job, Place, Stage
from perpixel.train.recipe import DetectionPart, Recipe
from perpixel.train.setup import augmentation, decoded_key, preprocessing_of, resolved

QUANTILES = {3: (0.15, 0.5, 0.85), 5: (0.1, 0.3, 0.5, 0.7, 0.9)}
"""Which sizes of the objects become the sizes of so many anchors."""


class Learner(nn.Module):
    """A detector and its loss as one network, so that everything that is learned happens in one `forward`: in the number
    type and on the processes that the engine says."""

    def __init__(self, detector: nn.Module, criterion: DetectionLoss) -> None:
        super().__init__()
        self.detector, self.criterion = detector, criterion

    def forward(self, image: Tensor, table: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) images and their objects by `pack` -> the loss and its parts."""
        return self.criterion(self.detector.propose(image), unpack(table, len(image)))  # type: ignore[operator]


@dataclass(frozen=True)
class Setup:
    """A resolved recipe and what was built from it. `val` is empty where the data has no such split."""

    recipe: Recipe
    dataset: Dataset
    taxonomy: Taxonomy
    detector: nn.Module
    description: Detector
    preprocessing: Preprocessing
    training_set: DetectionSet
    val: tuple[Sample, ...]


class Detection:
    """The objective of `perpixel train --model rfcn` and the other detectors."""

    name = ""
    tally = None

    def __init__(self, setup: Setup) -> None:
        self.setup, self.recipe = setup, setup.recipe
        assert setup.recipe.detection is not None
        criterion = detection_loss(setup.recipe.model.name, setup.detector, **setup.recipe.detection.loss)
        self.network = Learner(setup.detector, criterion)
        self.samples, self.judged = len(setup.training_set), len(setup.val)

    def batches(self, first: int, last: int, place: Place) -> Iterator[Batch]:
        """Random views of the train split."""
        workers = self.recipe.data.workers
        if workers is None:
            workers = 8 if place.device.type == "cuda" else 0
        stream = Stream(self.samples, self.recipe.batch_size, self.recipe.seed, place.rank, place.world)
        return batches_of(self.setup.training_set, collate, stream, first, last, workers)

    def inputs(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) float32, normalised, and the objects as a table."""
        image = batch.image.to(device, non_blocking=True)
        if self.recipe.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        return self.setup.preprocessing.normalise(image), pack(batch.objects).to(device)

    def loss(self, output: dict[str, Tensor], batch: Batch) -> Tensor:
        """The sum of the terms."""
        return output["loss"]

    def predictor(self, weights: Mapping[str, Tensor], device: torch.device) -> BoxPredictor:
        """A detector of its own with these weights."""
        setup, model = self.setup, self.recipe.model
        state = torch.random.get_rng_state()  # a fresh network draws weights; training must not notice
        k, c = len(setup.description.classes), setup.preprocessing.channels
        detector = build_network(model.name, k, c, model.options, build, filled=True)
        torch.random.set_rng_state(state)
        detector.load_state_dict({name.removeprefix("detector."): value for name, value in weights.items()})
        return BoxPredictor(detector, setup.preprocessing, setup.taxonomy, setup.description, str(device))

    def judge(self, predictor: BoxPredictor, report: Reporter, most: int | None = None) -> Figures:
        """COCO's AP over whole images of the val split, at their own size."""
        samples = self.setup.val[:most]
        results = evaluate_boxes(predictor, samples, self.setup.taxonomy, report).results
        ap, ap50 = (results["coco"][key] or 0.0 for key in ("ap", "ap50"))
        return Figures(
            score=ap,
            row={"val_ap": ap, "val_ap50": ap50},
            metrics={**results, "split": self.recipe.data.val_split, "images": len(samples)},
            text=f"val AP {ap:.4f}  AP50 {ap50:.4f}",
        )

    def keep(self, run: Path, predictor: BoxPredictor, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """`best/`."""
        setup = self.setup
        info = BundleInfo(
            network=self.recipe.model.name,
            options=self.recipe.model.options,
            taxonomy=setup.taxonomy.to_dict(),
            preprocessing=setup.preprocessing,
            training=dict(training),
            metrics=dict(metrics),
            data={
                "name": setup.dataset.name,
                "licence": setup.dataset.licence,
                "train_images": self.samples,
                "identity": identity(setup.dataset),
            },
            task="detection",
            detection=setup.description,
        )
        return save_bundle(run / "best", predictor.model, info)


def detection_job(recipe: Recipe, report: Reporter, known: Mapping[str, Any] | None = None) -> Job:
    """Looks at the data, finds its objects and builds the detector; `known` as for `set_up`.

    Raises:
        UserError: the data cannot be used, or has no object to learn.
    """
    part = recipe.detection or DetectionPart()
    dataset = open_dataset(recipe.data.path)
    looked = look(dataset, recipe.data.train_split, recipe.data.val_split, report, known)
    samples, val = dataset.split(recipe.data.train_split), dataset.samples(recipe.data.val_split)
    taxonomy, every_band = looked.facts.taxonomy, looked.facts.images
    bands = find_bands(recipe.data.bands, dataset.bands, every_band.channels)
    found = every_band.only(bands)
    rule = ObjectRule(object_classes(taxonomy, part.classes), part.instances, part.least_pixels, part.least_side)
    init = recipe.init if recipe.data.mean is None else None
    options = detector_options(recipe.model.name) | recipe.model.options
    recipe = resolved(recipe, *expected_pixels(init, recipe.model.name, found, options), found.median_size)
    data = recipe.data
    preprocessing = preprocessing_of(data, found, bands)
    pairs = TrainingSet(
        samples,
        taxonomy,
        augmentation(data),
        recipe.seed,
        preprocessing.training_pair,
        data.short_side,
    )
    kept = keep_decoded(pairs, data.cache, lambda: decoded_key(dataset, data, taxonomy, preprocessing), report)
    objects = read_all(pairs, rule, report)
    recipe, line = with_anchors(recipe, objects)
    part = part.model_copy(update={"classes": rule.classes})
    recipe = recipe.model_copy(update={"detection": part})
    torch.manual_seed(recipe.seed)
    filled, k = known is not None, len(rule.classes)
    detector = build_network(recipe.model.name, k, found.channels, recipe.model.options, build, filled)
    description = Detector(**part.model_dump(exclude={"loss"}))
    training_set = DetectionSet(pairs, objects)
    setup = Setup(recipe, dataset, taxonomy, detector, description, preprocessing, training_set, val)
    notes = (*(f"left out  {n}" for n in dataset.notes), *(f"data      {n}" for n in looked.facts.notes))
    lines = (*_lines(setup, objects), *weights_lines(detector), *notes, *line, f"images    {kept}")
    return Job(recipe, detector, (Stage(lambda: Detection(setup), recipe, recipe.minutes),), lines, looked.to_dict())


def read_all(pairs: TrainingSet, rule: ObjectRule, report: Reporter) -> list[Objects]:
    """The objects of every training image, in the pixels of the pair.

    Raises:
        UserError: there is none to learn.
    """
    objects = []
    for index, sample in enumerate(pairs.samples):
        report.step(index, len(pairs), "finding objects")
        labels = pairs.labels(index)
        height, width = pairs.pair(index)[1].shape
        own = objects_of(sample, labels, pairs.taxonomy, rule)
        objects.append(own.scaled(height / labels.shape[0], width / labels.shape[1]))
    if not any(bool(o.clear.any()) for o in objects):
        raise UserError(
            f"no training mask shows an object of {', '.join(rule.classes)} of {rule.least_pixels} pixels or more; "
            "see detection.classes, detection.least_pixels and detection.instances"
        )
    return objects


def with_anchors(recipe: Recipe, objects: Sequence[Objects]) -> tuple[Recipe, tuple[str, ...]]:
    """Anchors of the sizes that the objects have, where the recipe does not say any, and a line about them."""
    options = detector_options(recipe.model.name)
    if "anchor_sizes" in recipe.model.options or "anchor_sizes" not in options:
        return recipe, ()
    boxes = torch.cat([o.boxes[o.clear] for o in objects])
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    shares = torch.tensor(QUANTILES[len(options["anchor_sizes"])])
    sizes = [round(float(s)) for s in sides.quantile(shares.to(sides.dtype)).clamp(min=1)]
    model = recipe.model.model_copy(update={"options": {**recipe.model.options, "anchor_sizes": sizes}})
    said = f"anchors   of {', '.join(map(str, sizes))} pixels, as the objects are; the paper's: model.options.anchor_sizes="
    return recipe.model_copy(update={"model": model}), (f"{said}{list(options['anchor_sizes'])}",)


def _lines(setup: Setup, objects: Sequence[Objects]) -> list[str]:
    """What to tell the user before the first step."""
    names, recipe = setup.description.classes, setup.recipe
    classes = torch.cat([o.classes[o.clear] for o in objects])
    counts = ", ".join(f"{n} {c}" for n, c in zip(names, classes.bincount(minlength=len(names)).tolist(), strict=True))
    unclear = sum(int((~o.clear).sum()) for o in objects)
    without = sum(not bool(o.clear.any()) for o in objects)
    per_image = statistics.median(len(o) for o in objects)
    parameters = sum(p.numel() for p in setup.detector.parameters())
    assert recipe.data.crop is not None
    source = f"masks in {setup.description.instances}" if setup.description.instances else "regions of the masks"
    return [
        f"data      {setup.dataset.name} ({setup.dataset.layout}): {len(objects)} train, {len(setup.val)} val",
        f"objects   {source}: {counts}; {per_image:g} an image in the median, {without} images have none to learn, "
        f"{unclear} objects are too small or crowds",
        f"model     {recipe.model.name}: {parameters:,} parameters",
        f"sample    crop {recipe.data.crop[0]}x{recipe.data.crop[1]}, batch {recipe.batch_size}",
        f'evaluate  {len(setup.val)} whole images of split "{recipe.data.val_split}"; best by AP (COCO)'
        if setup.val
        else f'evaluate  nothing: there is no split "{recipe.data.val_split}"; the last weights are kept',
    ]
