"""Semantic segmentation: every pixel's class, by a sum of losses over pixels, judged by mean IoU on whole images."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perpixel.bundle import save_bundle
from perpixel.bundle.network import build_network
from perpixel.core.reporter import Reporter
from perpixel.data.joined import BETWEEN, MixedStream, sets_of
from perpixel.data.loader import Batch, Stream, batches
from perpixel.data.samples import Sample
from perpixel.infer.evaluate import evaluate
from perpixel.infer.predictor import Predictor
from perpixel.losses import border_weights
from perpixel.metrics import ConfusionMatrix, Evaluation
from perpixel.train.objective import Figures, Place
from perpixel.train.set_losses import SharesAndSets, over_sets
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
        self.shares = ClassShares(setup.taxonomy.names, setup.weights)
        self.sets = sets_of(setup.training_set.samples) if self.recipe.mixture else {}
        self.by_set = SharesAndSets(self.shares, list(self.sets), setup.weights) if self.sets else None
        self.tally = self.by_set or self.shares

    def batches(self, first: int, last: int, place: Place) -> Iterator[Batch]:
        """Random views of the train split."""
        workers = self.recipe.data.workers
        if workers is None:
            workers = 8 if place.device.type == "cuda" else 0
        return batches(self.setup.training_set, self._stream(place), first, last, workers)

    def _stream(self, place: Place) -> Stream | MixedStream:
        recipe, mixture = self.recipe, self.recipe.mixture
        if mixture is None:
            return Stream(self.samples, recipe.batch_size, recipe.seed, place.rank, place.world)
        lengths, weights = tuple(map(len, self.sets.values())), tuple(part.weight for part in mixture.sets)
        return MixedStream(lengths, weights, recipe.batch_size, recipe.seed, place.rank, place.world)

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
        self.shares.watch(output["logits"], labels)
        if self.by_set:
            self.by_set.watch(output["logits"], labels, [name.split(BETWEEN, 1)[0] for name in batch.names])
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
        if self.sets:
            return self._judge_sets(predictor, samples, report)
        measured = evaluate(predictor, samples, self.setup.taxonomy, ("confusion",), report=report)
        return self._figures(measured.evaluation.confusion, {**measured.results, "images": len(samples)})

    def _judge_sets(self, predictor: Predictor, samples: Sequence[Sample], report: Reporter) -> Figures:
        """Each set by itself, and the harmonic mean over them, by which the best is kept, as MSeg does."""
        found, whole = {}, Evaluation(self.setup.taxonomy.num_classes, ("confusion",))
        for key, part in sets_of(samples).items():
            found[key] = evaluate(predictor, part, self.setup.taxonomy, ("confusion",), report=report).evaluation
            whole.merge(found[key])
        means, each = over_sets(found), {key: e.confusion.mean_iou for key, e in found.items()}
        sets = {key: e.results() for key, e in found.items()}
        figures = self._figures(
            whole.confusion, {**whole.results(), "images": len(samples), "sets": sets, "over_sets": means}
        )
        return replace(
            figures,
            score=means["harmonic_mean"],
            row={
                **figures.row,
                **{f"set_mean_iou_{key}": v for key, v in each.items()},
                **{f"sets_{k}": v for k, v in means.items()},
            },
            text=f"val mIoU {', '.join(f'{key} {v:.4f}' for key, v in each.items())}, mean {means['mean']:.4f}, "
            f"harmonic {means['harmonic_mean']:.4f}",
        )

    def _figures(self, confusion: ConfusionMatrix, results: Mapping[str, Any]) -> Figures:
        mean_iou = 0.0 if math.isnan(confusion.mean_iou) else confusion.mean_iou
        return Figures(
            score=mean_iou,
            row={"val_mean_iou": mean_iou, "val_pixel_accuracy": confusion.pixel_accuracy},
            metrics={**results, "split": self.recipe.data.val_split},
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
        return advice(label, self.shares, self.setup.counts, rule if isinstance(rule, str) else "given")

    def keep(self, run: Path, predictor: Predictor, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """`best/`."""
        return save_bundle(run / "best", predictor.model, self.setup.bundle_info(training, metrics))
