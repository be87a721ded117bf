"""A recipe: everything that decides a training run, as YAML on disk and a frozen object in memory."""

import copy
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from perpixel.bundle.info import Options
from perpixel.bundle.preprocessing import Mean, PredictScale, ShortSide, Std
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import write_text
from perpixel.core.networks import is_detector
from perpixel.core.yaml import read_yaml
from perpixel.train.mixture import MixturePart
from perpixel.train.part import Part
from perpixel.train.ranges import (
    Count,
    Epochs,
    Factor,
    Minutes,
    Place,
    Positive,
    Rate,
    Scale,
    Seed,
    Share,
    Side,
    Sigma,
    Steps,
    Weight,
)

LENGTHS = ("epochs", "minutes", "steps")


class ModelPart(Part):
    """Which network: a name of `perpixel models` and its constructor's options."""

    name: str = "fast_scnn"
    options: Options = Field({})


class DataPart(Part):
    """Which data, at which size, changed how.

    crop None is the median training size up to 512, floored to multiples of 32; short_side resizes images to
    that shorter side first (and in prediction too); predict_scale is a further factor in evaluation and prediction
    alone; the rest is explained at `perpixel.data.transforms.Augmentation`.
    mean and std None are measured on the training images, or, with `init`, are those of its bundle, and so is bgr: whether
    the network takes blue first, as Caffe's do (mean and std are then in that order).
    cache: a folder for decoded images, where they are too many for memory (`perpixel.data.decoded`); None decodes each time.
    bands: those of an image that the network takes, in its order, by number from 1 or by the names of dataset.yaml.
    """

    path: Place = ""
    train_split: str = "train"
    val_split: str = "val"
    crop: tuple[Side, Side] | None = None
    short_side: ShortSide | None = None
    predict_scale: PredictScale = 1.0
    scale: tuple[Scale, Scale] = (0.5, 2.0)
    max_class_share: float = Field(0.75, gt=0, le=1)
    flip: bool = True
    flip_vertical: bool = False
    rotate: float = Field(0.0, ge=0, le=180)
    jitter: float = Field(0.3, ge=0, lt=1)
    elastic: float = Field(0.0, ge=0, le=1e4)
    mean: tuple[Mean, ...] | None = None
    std: tuple[Std, ...] | None = None
    bgr: bool | None = None
    cache: str | None = None
    bands: tuple[Annotated[int, Field(ge=1)] | str, ...] | None = None
    workers: int | None = Field(None, ge=0, le=1024)

    @model_validator(mode="after")
    def _ordered(self) -> "DataPart":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must be (least, most), got {self.scale}")
        return self


class LossPart(Part):
    """What is descended: a weighted sum of `perpixel.losses` by name, and what weighs classes and pixels.

    class_weights: none, median_frequency, enet, inverse_sqrt, or K numbers; enet_constant is the c of enet's
    1 / ln(c + share of the pixels). logit_adjustment t takes some of them back in evaluation and prediction: -t log(weight)
    is added to the logits (Menon et al., "Long-tail learning via logit adjustment", 2021); 1 is all, 0 none.
    border_weights: U-Net's map, (w0, sigma).
    aux_weight and presence_weight count where a network has auxiliary scores, or scores of a class's presence (EncNet).
    """

    terms: tuple[dict[str, Any], ...] = ({"name": "cross_entropy"},)
    class_weights: str | tuple[Weight, ...] = "inverse_sqrt"
    enet_constant: float = Field(1.02, gt=1, le=1e6)
    logit_adjustment: float = Field(0.5, ge=0, le=2)
    border_weights: tuple[Weight, Sigma] | None = None
    aux_weight: Weight = 0.4
    presence_weight: Weight = 0.2


class OptimiserPart(Part):
    """How weights move. warmup and milestones are shares of all steps; "step" multiplies the rate by gamma at each milestone.

    adam adds the decay to the gradient, adamw takes it off the weights, and so does muon (`perpixel.train.muon`), which
    needed the fewest steps for ENet from scratch; momentum is sgd's. decay: "matrices" leaves out biases and norms, "all"
    leaves out nothing. head_lr multiplies the rate of what is not in the backbone, bias_lr that of the biases of
    convolutions and linear layers.
    clip_norm bounds the gradient's length. A loss that is a sum over pixels (FCN's) has a long one: it needs None.
    """

    name: Literal["adamw", "adam", "sgd", "muon"] = "adamw"
    lr: Rate = 1e-3
    weight_decay: Weight = 1e-2
    decay: Literal["matrices", "all"] = "matrices"
    momentum: float = Field(0.9, ge=0, lt=1)
    head_lr: Factor = 1.0
    bias_lr: Factor = 1.0
    schedule: Literal["poly", "cosine", "one_cycle", "constant", "step"] = "poly"
    power: float = Field(0.9, gt=0, le=100)
    milestones: tuple[float, ...] = ()
    gamma: float = Field(0.1, gt=0, lt=1)
    warmup: float = Field(0.03, ge=0, lt=1)
    clip_norm: Positive | None = 5.0
    ema: float | None = Field(0.999, gt=0, lt=1)

    @model_validator(mode="after")
    def _milestones(self) -> "OptimiserPart":
        if bool(self.milestones) != (self.schedule == "step"):
            raise ValueError("milestones go with schedule step, such as [0.5, 0.75], and with no other")
        if list(self.milestones) != sorted(m for m in set(self.milestones) if 0 < m < 1):
            raise ValueError(f"milestones must be rising shares of all steps, between 0 and 1, got {self.milestones}")
        return self


class DecoupledPart(Part):
    """Decoupled training (`perpixel.train.objectives.decoupled`): first which classes an image shows, then where, of few masks.

    masks_per_class: of how many images for each class the masks may be used; fewer where there are fewer.
    image_labels: a CSV file of more images, without masks, and the classes that each shows.
    least_share: of an image's labelled pixels, what a class needs to count as there.
    classifier_steps: of stage 1, 0 leaves it out (with `init`, a classifier of an earlier run); None, with `minutes` alone,
        gives it half of the time. The recipe's own length is stage 2's.
    classifier_optimiser: of stage 1; the recipe's own is stage 2's.
    """

    masks_per_class: Count = 10
    image_labels: Place | None = None
    least_share: Share = 0.0
    classifier_steps: int | None = Field(10_000, ge=0, le=10**9)
    classifier_optimiser: OptimiserPart = OptimiserPart(ema=None)


class DetectionPart(Part):
    """What a detector (`perpixel.detection`) needs beside the rest; `loss` of the recipe does not count for it.

    classes: which classes of the masks are objects; None is all but "background", or but the first.
    instances: the folder with masks of instances, such as SegmentationObject, or "cityscapes"; None: every connected region
        of a class is an object.
    least_pixels, least_side: smaller objects are difficult: neither learned from nor counted.
    loss: options of `perpixel.detection.DetectionLoss` beside those of the network's paper, such as {ohem: false}.
    least_score, iou, most: which boxes it gives (`perpixel.detection.choose`).
    """

    classes: tuple[str, ...] | None = None
    instances: str | None = None
    least_pixels: Count = 16
    least_side: Count = 3
    loss: dict[str, Any] = Field({})
    least_score: float = Field(0.05, ge=0, lt=1)
    iou: float = Field(0.5, gt=0, le=1)
    most: Count = 300


class Recipe(Part):
    """A whole run. Exactly one of epochs, minutes and steps says how long; a finished plan always has steps.

    init is a run or a bundle whose weights to start from: those that fit by name and shape (`perpixel.train.initial`).
    precision auto is bf16 where the hardware computes in it (GPUs, CPUs with AVX-512 BF16 or AMX) and fp32 elsewhere.
    evaluate_every is in epochs; None gives about ten evaluations. With a mixture, data.path does not count.

    >>> Recipe(epochs=3).optimiser.name
    'adamw'
    """

    model: ModelPart = ModelPart()
    data: DataPart = DataPart()
    mixture: MixturePart | None = None
    loss: LossPart = LossPart()
    optimiser: OptimiserPart = OptimiserPart()
    decoupled: DecoupledPart | None = None
    detection: DetectionPart | None = None
    init: Place | None = None
    epochs: Epochs | None = None
    minutes: Minutes | None = None
    steps: Steps | None = None
    batch_size: Count = 8
    accumulate: Count = 1
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    channels_last: bool = True
    compile: bool = False
    evaluate_every: Epochs | None = None
    checkpoint_minutes: Minutes = 5.0
    trackers: tuple[str, ...] = ()
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_length(self) -> "Recipe":
        given = [k for k in LENGTHS if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of epochs, minutes and steps, got {' and '.join(given)}")
        if self.decoupled and self.decoupled.classifier_steps is None and self.minutes is None:
            raise ValueError("decoupled.classifier_steps may be left open with minutes alone")
        return self

    def changed(self, changes: dict[str, Any]) -> "Recipe":
        """A copy with changes given by dotted keys, such as {"optimiser.lr": 0.01}, checked like a file.

        Raises:
            UserError: an unknown key or a wrong value.
        """
        data = self.model_dump(mode="json")
        if any(changes.get(key) is not None for key in LENGTHS):
            data.update(dict.fromkeys(LENGTHS))  # a new length replaces the old one; two new ones are refused below
        for key, value in changes.items():
            *parts, last = key.split(".")
            place = data
            for part in parts:
                if not isinstance(place.get(part), dict):
                    raise UserError(f'a recipe has no "{key}".{nearest(part, place)}')
                place = place[part]
            place[last] = copy.deepcopy(value)  # a later key may reach into it
        return parse(data, "recipe")

    def save(self, file: str | Path) -> None:
        """Writes YAML that `load_recipe` reads back to an equal recipe."""
        write_text(file, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def load_recipe(file: str | Path) -> Recipe:
    """Reads a recipe.

    Raises:
        UserError: no such file, not YAML, an unknown key (with the nearest right one) or a wrong value.
    """
    data = read_yaml(file)
    return parse({} if data is None else data, str(file))


def parse(data: Any, where: str) -> Recipe:
    """A recipe from plain data; the first fault becomes one line."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UserError(f'{where}: unknown key "{key}".{nearest(key, _all_keys())}') from error
        raise UserError(f'{where}: "{key}": {first["msg"]}, got {first["input"]!r}'[:300]) from error


def _all_keys() -> list[str]:
    parts = {name: field.annotation for name, field in Recipe.model_fields.items()}
    nested = [
        f"{n}.{k}" for n, a in parts.items() if isinstance(a, type) and issubclass(a, Part) for k in a.model_fields
    ]
    return [*parts, *nested]


_DEEP_AND_THIN = {"optimiser.name": "muon", "optimiser.lr": 1e-2, "batch_size": 4, "data.predict_scale": 0.95}
MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    # no normalisation layers: a smaller rate, and a batch that valid convolutions leave memory for
    "unet": {"optimiser.lr": 1e-4, "batch_size": 2},
    "fpn": {"optimiser.lr": 5e-4},
    # logits of stride 8: larger images in prediction give thin things more cells (benchmarks/camvid.md)
    "fast_scnn": {"optimiser.lr": 2e-3, "data.predict_scale": 1.5},
    # deep and thin: Muon needs a fraction of AdamW's steps (benchmarks/realtime.md)
    "enet": _DEEP_AND_THIN,
    "erfnet": _DEEP_AND_THIN,
}
"""Where a network wants something else than the general defaults when no recipe is given."""
DETECTOR_DEFAULTS: dict[str, Any] = {"detection": {}, "batch_size": 4, "optimiser.lr": 5e-4}


def default_recipe(model: str) -> Recipe:
    """The recipe that `perpixel train --model NAME` starts from."""
    defaults = DETECTOR_DEFAULTS if is_detector(model) else MODEL_DEFAULTS.get(model, {})
    return Recipe().changed({"model.name": model, **defaults})
