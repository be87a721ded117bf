"""Position-sensitive score maps: nine maps of a small R-FCN, and how its parts vote for a right box and for a wrong one."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import people
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from style import ACCENT, INK, bare, canvas
from torch import Tensor, nn

from perpixel.detection.operators import overlaps

GROUP, SCENE = 3, 7
PARTS = tuple((i, j) for i in range(GROUP) for j in range(GROUP))
PERSON = 1
"""The channel of people; 0 is the background's."""


@dataclass(frozen=True)
class Votes:
    """`maps` (k, k, h, w): how much more a person than background each map finds every place; `boxes` (2, 4), right and
    wrong; `votes` (2, k, k); `probabilities` (2,) of a person."""

    picture: np.ndarray
    maps: Tensor
    boxes: Tensor
    votes: Tensor
    probabilities: Tensor


@cache
def trained() -> nn.Module:
    """An R-FCN of 3 x 3 parts that knows people."""
    return people.learned("rfcn", group=GROUP)


@torch.no_grad()
def count(model: nn.Module, seed: int = SCENE) -> Votes:
    """Votes for the highest person of a scene, and for the box half its width to the right and a quarter of its height up."""
    picture, objects = people.scene(seed)
    best = int((objects.boxes[:, 3] - objects.boxes[:, 1]).argmax())
    right = objects.boxes[best]
    width, height = (right[2:] - right[:2]).tolist()
    boxes = torch.stack([right, right + right.new_tensor([width / 2, -height / 4] * 2)])
    features = model.propose(people.as_input(picture))["features"]  # type: ignore[operator]
    rois = torch.cat([torch.zeros(2, 1), boxes], dim=1)
    said = model.votes(features, rois)  # type: ignore[operator]
    maps = features[0][0].unflatten(0, (-1, GROUP, GROUP))  # K+1,k,k,h,w
    probabilities = model.head(features, rois)["class_logits"].softmax(1)[:, PERSON]  # type: ignore[operator]
    return Votes(picture, maps[PERSON] - maps[0], boxes, said[:, PERSON] - said[:, 0], probabilities)


def iou(votes: Votes) -> float:
    """Of the wrong box with the right one."""
    return float(overlaps(votes.boxes[:1], votes.boxes[1:]))


def votes() -> Figure:
    """A row for the right box and a row for the wrong one: where it lies, the nine maps under it, the nine votes."""
    found = count(trained())
    figure = canvas(6.4)
    names = ("a box that lies right", f"a box beside it: IoU {iou(found):.2f}")
    rows = figure.subfigures(2, 1)
    for n, (part, name) in enumerate(zip(rows, names, strict=True)):
        row(part, found, n, name)
    return figure


def row(part: SubFigure, found: Votes, n: int, name: str) -> None:
    left, middle, right = part.subfigures(1, 3, width_ratios=(1.25, 1.9, 1.0))
    ax = bare(left.subplots(), "")
    ax.imshow(found.picture, interpolation="nearest")
    ax.set_xlabel(name, color=INK)
    grid(ax, found.boxes[n], 1.0)
    limit = float(found.maps.abs().max())
    for (i, j), small in zip(PARTS, middle.subplots(GROUP, GROUP).flat, strict=True):
        bare(small, "").imshow(found.maps[i, j], cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
        grid(small, found.boxes[n] / 8, 0.5, chosen=(i, j))
    middle.suptitle("map (i, j), read in bin (i, j) alone", size=10.5)
    table = bare(right.subplots(), f"mean {found.votes[n].mean():+.1f}\nperson: {found.probabilities[n]:.3f}")
    table.imshow(found.votes[n], cmap="RdBu", vmin=-limit, vmax=limit)
    for i, j in PARTS:
        table.text(j, i, f"{found.votes[n, i, j]:+.1f}", ha="center", va="center", color=INK, weight="bold")


def grid(ax: Axes, box: Tensor, width: float, chosen: tuple[int, int] | None = None) -> None:
    """The bins of a box on a picture whose pixel 0 has its centre at 0; with a chosen bin the box, and that bin."""
    x1, y1, x2, y2 = (box - 0.5).tolist()
    w, h = (x2 - x1) / GROUP, (y2 - y1) / GROUP
    for i, j in PARTS if chosen is None else ():
        ax.add_patch(Rectangle((x1 + j * w, y1 + i * h), w, h, fill=False, edgecolor=ACCENT, linewidth=width))
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=ACCENT, linewidth=width))
    if chosen is not None:
        place = (x1 + chosen[1] * w, y1 + chosen[0] * h)
        ax.add_patch(Rectangle(place, w, h, fill=False, edgecolor=ACCENT, linewidth=2.0))
