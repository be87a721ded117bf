"""What image-level labels are worth: decoupled training against the same masks without them, on synthetic scenes.

    python benchmarks/decoupled.py [--masks 5 10 25] [--steps 1500 600] [--scenes 150]

Data: windows of 64x64 out of the project's scenes of 192x256, twelve a scene; four classes (building, tree, vehicle,
person), everything else is background; a class is there from 2 % of a window on, a smaller rest of it is ignored.
Train windows come from train scenes, val windows from val scenes. Three ways, each from scratch, at width 8:

    decoupled     stage 1 on the classes of all train windows, stage 2 on N masks a class
    masks alone   the same network, stages and steps; stage 1 sees the classes of the windows with masks, nothing else
    supervised    the same convolutions and segmentation network without classifier and bridge, straight to five classes,
                  on the same masks, for the steps of both stages together

mIoU is perpixel.ConfusionMatrix's over the val windows. What it gave is in decoupled.md.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel import ConfusionMatrix
from perpixel.bundle import BundleInfo, Preprocessing
from perpixel.core import IGNORE
from perpixel.core.reporter import Plain
from perpixel.data.scenes import SCENES, make_scene
from perpixel.labels import Taxonomy
from perpixel.layers.unpool import max_pool
from perpixel.models.backbones.vgg import vgg16_stages
from perpixel.models.deconvnet import NORM_EPS
from perpixel.models.decouplednet import DecoupledNet, Segmentation
from perpixel.train.objective import Place
from perpixel.train.objectives.decoupled import Batch, Classes, Masks, Setup
from perpixel.train.objectives.decoupled_job import decoupled_recipe
from perpixel.train.objectives.decoupled_samples import Strong, Weak, around, choose, classes_of, subset
from perpixel.train.recipe import Recipe
from perpixel.train.run import fit

CLASSES = ("building", "tree", "vehicle", "person")
K, SIDE, SCENE, LEAST, WINDOWS = len(CLASSES) + 1, 64, (192, 256), 0.02, 12
WIDTH, WINDOW = 8, 2
FIRST = {"train": 0, "val": 1_000_000}
PREPROCESSING = Preprocessing(3, (0.45, 0.45, 0.45), (0.22, 0.22, 0.22))


def windows(split: str, scenes: int) -> Strong:
    """Windows of so many scenes of a split, with all their masks."""
    table = np.zeros(256, np.uint8)
    table[IGNORE] = IGNORE
    for label, name in enumerate(CLASSES, start=1):
        table[SCENES.names.index(name)] = label
    images, masks = [], []
    for index in range(scenes):
        image, labels = make_scene(0, FIRST[split] + index, SCENE)
        rng = np.random.default_rng([index, FIRST[split]])
        for _ in range(WINDOWS):
            top, left = (int(rng.integers(length - SIDE + 1)) for length in SCENE)
            box = slice(top, top + SIDE), slice(left, left + SIDE)
            images.append(torch.from_numpy(image[box].transpose(2, 0, 1).copy()))
            masks.append(without_rests(torch.from_numpy(table[labels[box]])))
    return Strong(images, masks)


def without_rests(labels: Tensor) -> Tensor:
    """Classes of less than the least share become 255."""
    gone = np.arange(256, dtype=np.uint8)
    gone[1:K][~classes_of(labels, K, LEAST).numpy()] = IGNORE
    return torch.from_numpy(gone[labels.numpy()])


class Supervised(nn.Module):
    """The convolutions of the classifier and the segmentation network, to K classes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = vgg16_stages(3, width=WIDTH, norm_eps=NORM_EPS)
        self.segmentation = Segmentation(8 * WIDTH, K, WIDTH, WINDOW)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x, kept = image, []
        for stage in self.convolutions:
            x = stage(x)
            size = (x.shape[-2], x.shape[-1])
            x, positions = max_pool(x, packed=False)
            kept.append((positions, size))
        return {"logits": self.segmentation(x, (x.shape[-2], x.shape[-1]), kept)}


class MasksAtOnce:
    """The objective of the supervised way: the same windows as stage 2 has, all classes at once."""

    name, judged, tally = "supervised", 0, None

    def __init__(self, network: nn.Module, strong: Strong, recipe: Recipe) -> None:
        self.network, self.strong, self.recipe, self.samples = network, strong, recipe, len(strong.images)
        self.present = presence(strong)

    def batches(self, first: int, last: int, place: Place) -> Iterator[Batch]:
        size = self.recipe.data.crop
        for number in range(first, last):
            drawn = []
            for n in range(number * self.recipe.batch_size, (number + 1) * self.recipe.batch_size):
                rng = np.random.default_rng((self.recipe.seed, 2, n))
                i = int(rng.integers(self.samples))
                drawn.append(
                    around(self.strong.images[i], self.strong.labels[i], subset(self.present[i], rng), size, rng)
                )
            images, labels = zip(*drawn, strict=True)
            yield Batch(torch.stack(images), torch.empty(0), torch.stack(labels), ("windows",))

    def inputs(self, batch: Batch, device: torch.device) -> tuple[Tensor]:
        return (PREPROCESSING.normalise(batch.image.to(device)),)

    def loss(self, output: dict[str, Tensor], batch: Batch) -> Tensor:
        return F.cross_entropy(output["logits"], batch.labels.long(), ignore_index=IGNORE)


def setup(model: DecoupledNet, recipe: Recipe) -> Setup:
    """What both stages share."""
    classes = Taxonomy.of(["background", *CLASSES]).to_dict()
    return Setup(
        model, PREPROCESSING, recipe, BundleInfo(network="decouplednet", taxonomy=classes, preprocessing=PREPROCESSING)
    )


def fresh(seed: int) -> DecoupledNet:
    torch.manual_seed(seed)
    return DecoupledNet(K, width=WIDTH, window=WINDOW, batch_norm=True)


def measure(model: nn.Module, val: Strong) -> ConfusionMatrix:
    matrix = ConfusionMatrix(K)
    with torch.no_grad():
        for i in range(0, len(val.images), 32):
            logits = model.eval()(PREPROCESSING.normalise(torch.stack(val.images[i : i + 32])))["logits"]
            matrix.update(logits.argmax(1), torch.stack(val.labels[i : i + 32]))
    return matrix


def classified(model: DecoupledNet, val: Strong) -> str:
    """How well stage 1 tells which classes there are: the mean over classes of the balanced accuracy."""
    with torch.no_grad():
        batches = [torch.stack(val.images[i : i + 32]) for i in range(0, len(val.images), 32)]
        said = torch.cat([model.eval().classify(PREPROCESSING.normalise(x)).scores > 0 for x in batches])
    truth = presence(val)
    rates = [((said & truth).sum(0) / truth.sum(0)), ((~said & ~truth).sum(0) / (~truth).sum(0))]
    return f"classes told apart {float(torch.stack(rates).mean()):.3f}"


def presence(strong: Strong) -> Tensor:
    return torch.stack([classes_of(x, K, 0.0) for x in strong.labels])


def say(line: str) -> None:
    print(f"{time.process_time():7.0f} s  {line}", flush=True)


def report(way: str, count: int, model: nn.Module, val: Strong) -> None:
    matrix = measure(model, val)
    iou = ", ".join(f"{name} {x:.3f}" for name, x in zip(("background", *CLASSES), matrix.iou, strict=True))
    more = f"; {classified(model, val)}" if isinstance(model, DecoupledNet) else ""
    say(f"RESULT {count:3} a class  {way:12} mIoU {matrix.mean_iou:.3f} over {matrix.num_present} of {K}: {iou}{more}")


def main() -> None:
    """All ways, for each number of masks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, nargs="+", default=[5, 10, 25])
    parser.add_argument("--steps", type=int, nargs=2, default=[1500, 600])
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--val", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", default=["decoupled", "masks alone", "supervised"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    masks = decoupled_recipe().changed(
        {"data.crop": [SIDE, SIDE], "batch_size": 8, "optimiser.lr": 0.1, "steps": given.steps[1], "seed": given.seed}
    )
    classes = masks.changed({"optimiser": {"lr": 1e-3, "ema": None}, "steps": given.steps[0]})
    at_once = masks.changed({"steps": sum(given.steps)})
    train, val = windows("train", given.scenes), windows("val", given.val)
    weak = Weak(train.images, presence(train))
    shares = ", ".join(f"{name} {x:.2f}" for name, x in zip(CLASSES, weak.present.float().mean(0), strict=True))
    say(f"{len(train.images)} train and {len(val.images)} val windows; share of windows that show it: {shares}")
    taught = fresh(given.seed)
    if "decoupled" in given.ways:
        fit(Classes(setup(taught, masks), weak), classes, Plain())
        say(classified(taught, val))
    for count in given.masks:
        taken = choose(weak.present, count, np.random.default_rng(given.seed))
        strong = Strong([train.images[i] for i in taken], [train.labels[i] for i in taken])
        say(f"{count} masks a class: {len(taken)} windows")
        if "decoupled" in given.ways:
            model = fresh(given.seed)
            model.load_state_dict(taught.state_dict())
            fit(Masks(setup(model, masks), strong), masks, Plain())
            report("decoupled", count, model, val)
        if "masks alone" in given.ways:
            model = fresh(given.seed)
            fit(Classes(setup(model, masks), Weak(strong.images, presence(strong))), classes, Plain())
            fit(Masks(setup(model, masks), strong), masks, Plain())
            report("masks alone", count, model, val)
        if "supervised" in given.ways:
            torch.manual_seed(given.seed)
            network = Supervised()
            fit(MasksAtOnce(network, strong, at_once), at_once, Plain())
            report("supervised", count, network, val)


if __name__ == "__main__":
    main()
