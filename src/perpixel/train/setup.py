"""What a run will do, settled before its first step: data read, recipe resolved, network and loss built."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from perpixel.bundle import BundleInfo, Preprocessing
from perpixel.bundle.network import build_network
from perpixel.core.errors import UserError
from perpixel.core.reporter import Reporter
from perpixel.data.bands import Bands, find_bands
from perpixel.data.fingerprint import digests, look
from perpixel.data.loader import TrainingSet
from perpixel.data.samples import Dataset, Sample
from perpixel.data.statistics import ClassCounts, ImageStatistics
from perpixel.data.transforms import Augmentation
from perpixel.labels import Taxonomy
from perpixel.losses import WeightedSum, build_loss, class_weights
from perpixel.models.catalog import model_options
from perpixel.train.initial import expected_pixels, weights_lines
from perpixel.train.mixture import identities, training_data
from perpixel.train.recipe import DataPart, Recipe
from perpixel.train.step_memory import memory_words, step_memory


@dataclass(frozen=True)
class Setup:
    """A resolved recipe and what was built from it. `val` is empty where the data has no such split."""

    recipe: Recipe
    dataset: Dataset
    taxonomy: Taxonomy
    preprocessing: Preprocessing
    training_set: TrainingSet
    val: tuple[Sample, ...]
    counts: ClassCounts
    model: nn.Module
    loss: WeightedSum
    weights: tuple[float, ...]
    notes: tuple[str, ...] = ()
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def logit_bias(self) -> tuple[float, ...]:
        """(K,) -t log(class weight), what is added to the logits in evaluation and prediction; empty where t is 0."""
        t = self.recipe.loss.logit_adjustment
        return tuple(-t * math.log(w) if w > 0 else 0.0 for w in self.weights) if t else ()

    @property
    def steps_per_epoch(self) -> float:
        """Optimiser steps in which every training image is seen once, on one process."""
        return len(self.training_set) / (self.recipe.batch_size * self.recipe.accumulate)

    def bundle_info(self, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> BundleInfo:
        """The description of a bundle of this run."""
        return BundleInfo(
            network=self.recipe.model.name,
            options=self.recipe.model.options,
            taxonomy=self.taxonomy.to_dict(),
            preprocessing=self.preprocessing,
            logit_bias=self.logit_bias,
            training=dict(training),
            metrics=dict(metrics),
            data={
                "name": self.dataset.name,
                "licence": self.dataset.licence,
                "train_images": len(self.training_set),
                **identities(self.recipe, self.dataset),
            },
        )

    def lines(self) -> list[str]:
        """What to tell the user before the first step."""
        recipe, data = self.recipe, self.recipe.data
        parameters = sum(p.numel() for p in self.model.parameters())
        frequent = [f"{n} {w:.2f}" for n, w in zip(self.taxonomy.names, self.weights, strict=True)]
        assert data.crop is not None
        by = "the harmonic mean of the sets' mIoU" if recipe.mixture else "mIoU"
        memory = step_memory(
            self.model, recipe.optimiser, recipe.batch_size, self.preprocessing.channels, (data.crop[0], data.crop[1])
        )
        return [
            f"data      {self.dataset.name} ({self.dataset.layout}): {len(self.training_set)} train, {len(self.val)} val, "
            f"{self.taxonomy.num_classes} classes, {self.preprocessing.words}",
            *(f"left out  {note}" for note in self.dataset.notes),
            *(f"data      {note}" for note in self.notes),
            f"model     {recipe.model.name}: {parameters:,} parameters; {memory_words(memory)}",
            *weights_lines(self.model),
            f"sample    crop {data.crop[0]}x{data.crop[1]}, batch {recipe.batch_size}"
            + (f" x {recipe.accumulate} accumulated" if recipe.accumulate > 1 else ""),
            f"loss      {' + '.join(str(t.get('name')) for t in recipe.loss.terms)}, class weights "
            f"{recipe.loss.class_weights if isinstance(recipe.loss.class_weights, str) else 'given'}: {', '.join(frequent)}",
            f'evaluate  {len(self.val)} whole images of split "{data.val_split}" at their own size; best by {by}'
            if self.val
            else f'evaluate  nothing: there is no split "{data.val_split}"; the last weights are kept',
        ]


def set_up(recipe: Recipe, report: Reporter | None = None, kept: Mapping[str, Any] | None = None) -> Setup:
    """Reads the data and builds everything that the recipe names.

    Args:
        recipe: what to do.
        report: told how far reading is.
        kept: `Setup.known` of the run that goes on, empty where it kept nothing; its data is then not measured again, and
            its weights are not downloaded.

    Raises:
        UserError: the data, or a name or value in the recipe, cannot be used.
        Interrupted: `report` said so.
    """
    dataset = training_data(recipe)
    looked = look(dataset, recipe.data.train_split, recipe.data.val_split, report, kept)
    known = looked.facts
    train, val = dataset.split(recipe.data.train_split), dataset.samples(recipe.data.val_split)
    taxonomy, counts = known.taxonomy, known.counts
    bands = find_bands(recipe.data.bands, dataset.bands, known.images.channels)
    found = known.images.only(bands)
    init = recipe.init if recipe.data.mean is None else None
    options = model_options(recipe.model.name) | recipe.model.options
    recipe = resolved(recipe, *expected_pixels(init, recipe.model.name, found, options), found.median_size)
    data = recipe.data
    _refuse_other_channels(dataset, found.channels, data)
    preprocessing = preprocessing_of(data, found, bands)
    weights = class_weights(_rule(recipe), counts.pixels, counts.image_pixels, recipe.loss.enet_constant)
    torch.manual_seed(recipe.seed)
    model = build_network(
        recipe.model.name, taxonomy.num_classes, found.channels, recipe.model.options, filled=kept is not None
    )
    return Setup(
        recipe=recipe,
        dataset=dataset,
        taxonomy=taxonomy,
        preprocessing=preprocessing,
        training_set=TrainingSet(
            train,
            taxonomy,
            augmentation(data),
            recipe.seed,
            preprocessing.training_pair,
            recipe.data.short_side,
        ),
        val=val,
        counts=counts,
        model=model,
        loss=build_loss(recipe.loss.terms, weights, recipe.loss.aux_weight, recipe.loss.presence_weight),
        weights=tuple(float(w) for w in weights),
        notes=known.notes,
        known=looked.to_dict(),
    )


def preprocessing_of(data: DataPart, found: ImageStatistics, bands: Bands | None) -> Preprocessing:
    """What is done to an image, by a recipe that leaves nothing open and what was found of the bands that are taken."""
    return Preprocessing(
        channels=found.channels,
        mean=data.mean or (),
        std=data.std or (),
        short_side=data.short_side,
        scale=data.predict_scale,
        bgr=bool(data.bgr),
        dtype=found.dtype or None,  # type: ignore[arg-type]
        value_range=found.value_range if found.dtype else None,
        bands=bands,
    )


def decoded_key(dataset: Dataset, data: DataPart, taxonomy: Taxonomy, takes: Preprocessing) -> list[Any]:
    """What tells decoded training pairs from all others: their files, and what is done to them when they are read."""
    samples = digests(dataset, (data.train_split,))[data.train_split]
    return [dict(samples), data.short_side, taxonomy.to_dict(), asdict(takes)]


def _refuse_other_channels(dataset: Dataset, channels: int, data: DataPart) -> None:
    for key, values in (("mean", data.mean), ("std", data.std)):
        if values and len(values) != channels:
            raise UserError(
                f"{dataset.root}: its images have {channels} channels, but data.{key} of the recipe is for {len(values)}: "
                "the recipe was made for other images; leave it out to have it measured"
            )


def resolved(
    recipe: Recipe, mean: tuple[float, ...], std: tuple[float, ...], bgr: bool, size: tuple[int, int]
) -> Recipe:
    """The recipe with everything that it left open filled in, so that the copy in the run folder says it all."""
    data = recipe.data
    if data.short_side is not None:
        factor = data.short_side / min(size)
        size = (round(size[0] * factor), round(size[1] * factor))
    crop = data.crop or (_default_side(size[0]), _default_side(size[1]))
    path = str(Path(data.path).resolve()) if data.path else ""
    filled: dict[str, Any] = {"crop": crop, "mean": data.mean or mean, "std": data.std or std, "path": path}
    filled["bgr"] = data.bgr if data.bgr is not None else bgr and data.mean is None
    init = str(Path(recipe.init).resolve()) if recipe.init and Path(recipe.init).is_dir() else recipe.init
    return recipe.model_copy(update={"data": data.model_copy(update=filled), "init": init})


def _default_side(side: int) -> int:
    return max(32, min(side, 512) // 32 * 32)


def _rule(recipe: Recipe) -> str | list[float]:
    rule = recipe.loss.class_weights
    return rule if isinstance(rule, str) else list(rule)


def augmentation(data: DataPart) -> Augmentation:
    """What is drawn at random, as the recipe says it under the same names."""
    return Augmentation(**{f.name: getattr(data, f.name) for f in fields(Augmentation)})
