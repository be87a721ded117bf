"""From a recipe with a decoupled part, and its data, to the two stages of `decoupled`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perpixel.bundle import BundleInfo, Preprocessing
from perpixel.bundle.network import build_network
from perpixel.core import Size
from perpixel.core.reporter import Reporter
from perpixel.data.bands import find_bands
from perpixel.data.fingerprint import look
from perpixel.data.folders import open_dataset
from perpixel.data.loader import TrainingSet
from perpixel.labels import Taxonomy
from perpixel.models.decouplednet import DecoupledNet
from perpixel.train.image_labels import read_image_labels
from perpixel.train.initial import expected_pixels
from perpixel.train.objective import Job, Stage
from perpixel.train.objectives.decoupled import NETWORK, SGD, Classes, Masks, Setup
from perpixel.train.objectives.decoupled_samples import (
    Strong,
    Weak,
    background_first,
    choose,
    classes_of,
    views,
    with_more,
)
from perpixel.train.recipe import DataPart, DecoupledPart, ModelPart, Recipe
from perpixel.train.setup import preprocessing_of


def decoupled_recipe(part: DecoupledPart | None = None) -> Recipe:
    """The recipe of the paper's lengths: DecoupledNet, samples of 320x320, 10,000 steps of 16 and 7,500 of 16."""
    return Recipe(
        model=ModelPart(name=NETWORK),
        optimiser=SGD,
        decoupled=part or DecoupledPart(),
        steps=7_500,
        batch_size=16,
        precision="fp32",
        channels_last=False,
        data=DataPart(crop=(320, 320)),
    )


def decoupled_job(recipe: Recipe, part: DecoupledPart, report: Reporter, kept: Mapping[str, Any] | None = None) -> Job:
    """Both stages. Of the train split's masks, those of `masks_per_class` images a class are used as masks; of all others
    only which classes they hold.

    Raises:
        UserError: the data cannot be used, or the image labels name a class that does not exist.
    """
    size = recipe.data.crop or (320, 320)
    dataset = open_dataset(recipe.data.path)
    looked = look(dataset, recipe.data.train_split, recipe.data.val_split, report, kept)
    known = looked.facts
    samples, val = dataset.split(recipe.data.train_split), dataset.samples(recipe.data.val_split)
    taxonomy, bands = known.taxonomy, find_bands(recipe.data.bands, dataset.bands, known.images.channels)
    found, data = known.images.only(bands), recipe.data
    mean, std, bgr = expected_pixels(recipe.init if data.mean is None else None, NETWORK, found)
    whole = {"mean": data.mean or mean, "std": data.std or std, "bgr": bgr if data.bgr is None else data.bgr}
    data = data.model_copy(update={**whole, "short_side": data.short_side or min(size)})
    preprocessing = preprocessing_of(data, found, bands)
    torch.manual_seed(recipe.seed)
    model = build_network(NETWORK, taxonomy.num_classes, found.channels, recipe.model.options, filled=kept is not None)
    assert isinstance(model, DecoupledNet)
    reader = TrainingSet(
        samples,
        taxonomy,
        views(size),
        recipe.seed,
        preprocessing.training_pair,
        preprocessing.short_side,
    )
    weak, strong = weak_and_strong(reader, model.background, part, recipe.seed, report)
    if part.image_labels:
        weak = with_more(weak, read_image_labels(part.image_labels), taxonomy, model.background, preprocessing)
    recipe = _resolved(recipe, preprocessing, size)
    info = _info(recipe, taxonomy, preprocessing, weak, strong, dataset.name, dataset.licence)
    setup = Setup(model, preprocessing, recipe, info, val)
    lines = (
        f"data      {len(weak.images)} images with classes, {len(strong.images)} of them with masks",
        *(f"left out  {note}" for note in dataset.notes),
        *(f"data      {note}" for note in known.notes),
    )
    return Job(recipe, model, _stages(setup, part, weak, strong), lines, looked.to_dict())


def _stages(setup: Setup, part: DecoupledPart, weak: Weak, strong: Strong) -> tuple[Stage, ...]:
    recipe, steps = setup.recipe, part.classifier_steps
    first = recipe.model_copy(
        update={"optimiser": part.classifier_optimiser, "steps": steps, "epochs": None, "minutes": None}
    )
    half = recipe.minutes / 2 if recipe.minutes and steps is None else None
    classes = Stage(lambda: Classes(setup, weak), first, half)
    masks = Stage(lambda: Masks(setup, strong), recipe, half or recipe.minutes)
    return (masks,) if steps == 0 else (classes, masks)


def weak_and_strong(
    reader: TrainingSet, background: int, part: DecoupledPart, seed: int, report: Reporter
) -> tuple[Weak, Strong]:
    """All training images with the classes of their masks, and the few of which the mask itself is used."""
    images, labels = [], []
    for i in range(len(reader)):
        report.step(i, len(reader), "reading")
        image, mask = reader.decode(i)
        images.append(image)
        labels.append(background_first(mask, background))
    present = torch.stack([classes_of(x, reader.taxonomy.num_classes, part.least_share) for x in labels])
    taken = choose(present, part.masks_per_class, np.random.default_rng(seed))
    return Weak(images, present), Strong([images[i] for i in taken], [labels[i] for i in taken])


def _resolved(recipe: Recipe, p: Preprocessing, size: Size) -> Recipe:
    """The recipe with what it left open filled in, so that the copy in the run folder says it all."""
    filled = {"crop": size, "mean": p.mean, "std": p.std, "bgr": p.bgr, "short_side": p.short_side}
    filled["path"] = str(Path(recipe.data.path).resolve())
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=filled)})


def _info(
    recipe: Recipe, taxonomy: Taxonomy, p: Preprocessing, weak: Weak, strong: Strong, name: str, licence: str
) -> BundleInfo:
    return BundleInfo(
        network=NETWORK,
        options=recipe.model.options,
        taxonomy=taxonomy.to_dict(),
        preprocessing=p,
        training={"masks": len(strong.images), "images": len(weak.images)},
        data={"name": name, "licence": licence, "train_images": len(weak.images)},
    )
