"""Deformable sampling: where the last convolutions of a small deformable R-FCN look, and how its parts of a box move."""

from functools import cache

import numpy as np
import people
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from style import ACCENT, bare, canvas
from torch import Tensor, nn

from perpixel.analyze.sampling import sampling_points
from perpixel.layers.deformable import DeformableConv2d

GROUP, STEPS, SCENE, STRIDE = 3, 150, 7, 8
PERSON = 1


@cache
def trained() -> nn.Module:
    """A deformable R-FCN of 3 x 3 parts that knows people a little."""
    return people.learned("deformable_rfcn", steps=STEPS, group=GROUP)


def places(boxes: Tensor) -> dict[str, tuple[int, int]]:
    """The units (row, column) of the map over the middle of the highest and the lowest person."""
    heights = boxes[:, 3] - boxes[:, 1]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2 / STRIDE
    chosen = {"a large person": middles[int(heights.argmax())], "a small person": middles[int(heights.argmin())]}
    return {name: (round(float(y)), round(float(x))) for name, (x, y) in chosen.items()}


@torch.no_grad()
def moved(model: nn.Module, picture: np.ndarray, box: Tensor) -> Tensor:
    """By how many pixels the 3 x 3 parts of a box move for the class of people: (2, k, k), columns and rows."""
    features = model.propose(people.as_input(picture))["features"]  # type: ignore[operator]
    roi = torch.cat([torch.zeros(1), box])[None]
    tenths = model.offsets(features[2], roi)[0, 2 * PERSON : 2 * PERSON + 2]  # type: ignore[operator]
    return 0.1 * tenths * (box[2:] - box[:2]).view(2, 1, 1)


def sampling() -> Figure:
    """Two units with the points of the last layer, and a person's parts, as they would lie and as they do."""
    model = trained()
    picture, objects = people.scene(SCENE)
    figure = canvas(2.5)
    axes = figure.subplots(1, 3)
    last = [name for name, part in model.named_modules() if isinstance(part, DeformableConv2d)][-1:]
    for ax, (name, unit) in zip(axes, places(objects.boxes).items(), strict=False):
        found = sampling_points(model, people.as_input(picture), unit, STRIDE, last)
        bare(ax, f"one unit on {name}").imshow(picture, interpolation="nearest")
        rows, columns = found.points.T.numpy()
        ax.scatter(columns, rows, s=14, color="red", alpha=0.8, linewidths=0)
        ax.plot(found.unit[1], found.unit[0], "o", color="lime", markersize=5)
        ax.set_xlim(-0.5, people.SIZE[1] - 0.5)
        ax.set_ylim(people.SIZE[0] - 0.5, -0.5)
    best = objects.boxes[int((objects.boxes[:, 3] - objects.boxes[:, 1]).argmax())]
    bare(axes[2], "parts of a box, and where they look").imshow(picture, interpolation="nearest")
    parts(axes[2], best, moved(model, picture, best))
    return figure


def parts(ax: Axes, box: Tensor, moves: Tensor) -> None:
    x1, y1, x2, y2 = (box - 0.5).tolist()
    w, h = (x2 - x1) / GROUP, (y2 - y1) / GROUP
    for i in range(GROUP):
        for j in range(GROUP):
            x, y = x1 + j * w, y1 + i * h
            ax.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor="white", linewidth=0.8))
            there = (x + float(moves[0, i, j]), y + float(moves[1, i, j]))
            ax.add_patch(Rectangle(there, w, h, fill=False, edgecolor=ACCENT, linewidth=1.6))
