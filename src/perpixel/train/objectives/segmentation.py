"""Semantic segmentation: every pixel's class, by a sum of losses over pixels, judged by mean IoU on whole images."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perpixel.bundle import save_bundle
from perpixel.bundle.network import build_network
from perpixel.core.reporter import Reporter
from perpixel.data.loader import Batch, Stream, batches
from perpixel.infer.evaluate import evaluate
from perpixel.infer.predictor import Predictor
from perpixel.losses import border_weights
from perpixel.metrics import ConfusionMatrix
from perpixel.train.objective import Figures, Place
from perpixel.train.setup import Setup
from perpixel.train.shares import ClassShares
from perpixel.train.unheard import advice

NEVER = 0.01
"""A class of the val split with a lower IoU is as good as never found, however many pixels are called it."""


class Segmentation:
    """The objective of `perpixel train`, made from a setup."""

    name = ""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.recipe = setup, setup.recipe
        self.network, self.criterion = setup.model, setup.loss
        self.samples, self.judged = len(setup.training_set), len(setup.val)
        self.tally = ClassShares(setup.taxonomy.names, setup.weights)

    def batches(self, first: int, last: int, place: Place) -> Iterator[Batch]:
        """Random views of the train split."""
        recipe, workers = self.recipe, self.recipe.data.workers
        if workers is None:
            workers = 8 if place.device.type == "cuda" else 0
        stream = Stream(self.samples, recipe.batch_size, recipe.seed, place.rank, place.world)
        return batches(self.setup.training_set, stream, first, last, workers)

    def inputs(self, batch: Batch, device: torch.device) -> tuple[Tensor]:
        """(B, C, H, W) float32, normalised."""
        image = batch.image.to(device, non_blocking=True)
        if self.recipe.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        return (self.setup.preprocessing.normalise(image),)

    def loss(self, output: dict[str, Tensor], batch: Batch) -> Tensor:
        """The weighted sum that the recipe says."""
        device = output["logits"].device
        labels = batch.labels.to(device, non_blocking=True)
        self.tally.watch(output["logits"], labels)
        weights = self._pixel_weights(batch.labels)
        terms = self.criterion.to(device)(output, labels.long(), None if weights is None else weights.to(device))
        loss: Tensor = terms["loss"]
        return loss

    def _pixel_weights(self, labels: Tensor) -> Tensor | None:
        if self.recipe.loss.border_weights is None:
            return None
        w0, sigma = self.recipe.loss.border_weights
        maps = [border_weights(x.numpy(), w0=w0, sigma=sigma, class_balance=False) for x in labels]
        return torch.from_numpy(np.stack(maps)).float()

    def predictor(self, weights: Mapping[str, Tensor], device: torch.device) -> Predictor:
        """A network of its own with these weights."""
        setup, model = self.setup, self.recipe.model
        state = torch.random.get_rng_state()  # a fresh network draws weights; training must not notice
        k, c = setup.taxonomy.num_classes, setup.preprocessing.channels
        network = build_network(model.name, k, c, model.options, filled=True)
        torch.random.set_rng_state(state)
        network.load_state_dict(weights)
        return Predictor(network, setup.preprocessing, setup.taxonomy, setup.logit_bias, str(device))

    def judge(self, predictor: Predictor, report: Reporter, most: int | None = None) -> Figures:
        """Mean IoU over whole images of the val split, at their own size."""
        samples = self.setup.val[:most]
        measured = evaluate(predictor, samples, self.setup.taxonomy, ("confusion",), report=report)
        confusion = measured.evaluation.confusion
        mean_iou = 0.0 if math.isnan(confusion.mean_iou) else confusion.mean_iou
        return Figures(
            score=mean_iou,
            row={"val_mean_iou": mean_iou, "val_pixel_accuracy": confusion.pixel_accuracy},
            metrics={**measured.results, "split": self.recipe.data.val_split, "images": len(samples)},
            text=f"val mIoU {mean_iou:.4f}  pixel accuracy {confusion.pixel_accuracy:.4f}",
            remarks=self._collapsed(confusion),
        )

    def _collapsed(self, confusion: ConfusionMatrix) -> tuple[str, ...]:
        names, seen = self.setup.taxonomy.names, zip(confusion.truth_pixels, confusion.iou, strict=True)
        never = [name for name, (truth, iou) in zip(names, seen, strict=True) if truth and iou < NEVER]
        hints = (self._unheard(names.index(name)) for name in never)
        said = f"never predicted (IoU below {NEVER}): {', '.join(never)}"
        return (said, *(h for h in hints if h)) if never else ()

    def _unheard(self, label: int) -> str:
        """What would help a class that the loss hardly listens to; nothing for any other."""
        rule = self.recipe.loss.class_weights
        return advice(label, self.tally, self.setup.counts, rule if isinstance(rule, str) else "given")

    def keep(self, run: Path, predictor: Predictor, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """`best/`."""
        return save_bundle(run / "best", predictor.model, self.setup.bundle_info(training, metrics))
